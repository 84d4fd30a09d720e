"""Several devices and machines: strategies, the cluster, the replicas of a step."""
