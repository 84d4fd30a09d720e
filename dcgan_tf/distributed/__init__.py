"""Training on several devices and machines: strategies, clusters, replicas."""
