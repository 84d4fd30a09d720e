"""Training by several processes, which communicate like those on several machines."""

import json
import signal
import socket
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scaling import free_addresses, local_cluster
from dcgan_tf.distributed import cluster, strategy
from dcgan_tf.settings.errors import UserError
from tests.conftest import finish, fork, one_sentence, start, train_command
from tests.test_resume import wait_for

TASK = {"type": "worker", "index": 0}


def start_workers(count, run_dir, digits_dir, *flags, own=()):
    """Starts the processes of a cluster, the chief first; `own` adds flags for some of them."""
    flags = ["--strategy=multi_worker", "--base_filters=4", *flags]
    return [
        fork(
            train_command(run_dir, digits_dir, *flags, *(own[index] if own else ())),
            TF_CONFIG=config,
        )
        for index, config in enumerate(local_cluster(count))
    ]


def finish_all(processes):
    """The exit code, output and errors of each."""
    ends = [process.communicate(timeout=240) for process in processes]
    return [(process.returncode, *end) for process, end in zip(processes, ends)]


def assert_close_runs(run_dir, other):
    """Checks that all columns except times are equal up to rounding."""
    ours, theirs = (
        np.genfromtxt(d / "metrics.csv", delimiter=",")[1:, :6] for d in (run_dir, other)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-3)


def lose(processes, lost, run_dir):
    """Kills one of two workers while they train, and waits for the other to end."""
    wait_for((run_dir / "checkpoints" / "ckpt-2.index").exists, processes[0])
    processes[lost].kill()
    left = processes[1 - lost]
    _, err = left.communicate()
    assert left.returncode == 1 and one_sentence(err)
    assert "another worker ended or can't be reached" in err
    processes[lost].communicate()


def test_two_processes_equal_one_and_resume_as_one_or_three(digits_dir, tmp_path):
    flags = ["--base_filters=4", "--nogenerator_batch_norm", "--batch_size=12", "--epochs=4"]
    flags += ["--clusters=3"]
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert finish(train_command(alone, digits_dir, *flags), how=fork)[0] == 0
    lose(start_workers(2, together, digits_dir, *flags), 1, together)
    command = train_command(together, digits_dir, *flags, "--max_steps=13")
    code, out, err = finish(command, how=fork)
    assert code == 0 and "resumed after step" in out, err
    processes = start_workers(3, together, digits_dir, *flags)
    for index, (code, out, err) in enumerate(finish_all(processes)):
        assert code == 0 and err == ""
        assert "CPU on each of 3 workers" in out and "resumed after step 13, to step 16" in out
        assert ("kept by worker 0" in out) == (index > 0)
    assert_close_runs(together, alone)
    assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}


def test_the_other_workers_end_when_the_chief_dies(digits_dir, tmp_path):
    lose(start_workers(2, tmp_path, digits_dir, "--epochs=1000"), 0, tmp_path)


def test_a_signal_to_one_worker_stops_all_at_the_same_step(digits_dir, tmp_path):
    processes = start_workers(2, tmp_path, digits_dir, "--epochs=1000", "--eval_every=0")
    wait_for((tmp_path / "checkpoints" / "ckpt-4.index").exists, processes[0])
    processes[1].send_signal(signal.SIGTERM)
    ends = finish_all(processes)
    assert [code for code, _, _ in ends] == [143, 143]
    assert ends[0][2] == ends[1][2] and "stopped by SIGTERM: saved at step" in ends[0][2]


@pytest.mark.thorough
def test_only_the_chief_trains_the_classifier_for_evaluation(zeros_and_ones, tmp_path):
    """It is the same as with one device; each worker has its own cache."""
    flags = ["--dataset=folder", "--conditional", "--image_size=28", "--eval_every=1"]
    flags += ["--batch_size=100", "--epochs=1", "--nogenerator_batch_norm", "--base_filters=4"]
    caches = [{"XDG_CACHE_HOME": str(tmp_path / f"cache{i}")} for i in range(3)]
    command = train_command(tmp_path / "alone", zeros_and_ones, *flags)
    ends = finish_all([fork(command, **caches[0])])
    command = train_command(tmp_path / "two", zeros_and_ones, *flags, "--strategy=multi_worker")
    configs = local_cluster(2)
    ends += finish_all([fork(command, TF_CONFIG=configs[i], **caches[1 + i]) for i in range(2)])
    assert [code for code, _, _ in ends] == [0, 0, 0], ends
    assert ["training a classifier" in out for _, out, _ in ends] == [True, True, False]
    files = [sorted(Path(cache["XDG_CACHE_HOME"]).rglob("*.npz")) for cache in caches]
    assert [len(paths) for paths in files] == [1, 1, 0]
    with np.load(files[0][0]) as ours, np.load(files[1][0]) as theirs:
        for name in ours.files:
            np.testing.assert_allclose(ours[name], theirs[name], atol=1e-3)
    rows = [np.genfromtxt(tmp_path / d / "metrics.csv", delimiter=",")[1] for d in ("alone", "two")]
    columns = (tmp_path / "alone" / "metrics.csv").read_text().split("\n")[0].split(",")
    for name in ("frechet_distance", "frechet_baseline", "precision", "recall"):
        ours, theirs = (row[columns.index(name)] for row in rows)
        np.testing.assert_allclose(ours, theirs, rtol=0.01, err_msg=name)


@pytest.mark.long
def test_sums_over_workers_are_exact(tmp_path):
    """The mean of seven workers, times seven, would make the chief's step 29 a 28.99…"""
    code = (
        "from dcgan_tf.distributed import cluster, strategy\n"
        "with strategy.join_cluster().scope():\n"
        "    numbers = [float(number) for number in (*range(300), 2**32 - 1)]\n"
        "    assert [cluster.broadcast(number) for number in numbers] == numbers\n"
        "    assert cluster.all_reduce_sum([1.0, 0.5]) == [7.0, 3.5]\n"
        "    cluster.barrier()\n"
    )
    command = [sys.executable, "-c", code]
    workers = [start(command, TF_CONFIG=config) for config in local_cluster(7)]
    assert [code for code, _, _ in finish_all(workers)] == [0] * 7


def test_workers_with_other_flags_are_refused(digits_dir, tmp_path):
    processes = start_workers(2, tmp_path / "run", digits_dir, own=[["--seed=0"], ["--seed=1"]])
    for code, _, err in finish_all(processes):
        assert code == 1 and one_sentence(err)
        assert "1 of 2 workers were started with other settings or images" in err
    assert not (tmp_path / "run").exists()


def test_workers_that_do_not_see_the_run_are_refused(digits_dir, tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    one_step = train_command(run, digits_dir, "--base_filters=4", "--max_steps=1")
    assert finish(one_step, how=fork)[0] == 0
    processes = start_workers(2, run, digits_dir, own=[[], [f"--run_dir={elsewhere}"]])
    for code, _, err in finish_all(processes):
        assert code == 1 and one_sentence(err)
        assert "1 of 2 workers do not see the run that worker 0 resumes" in err
    assert not elsewhere.exists()


def wait_as(index, addresses, pool):
    """A worker that waits for the others, in a thread; its `result` is None or raises."""
    return pool.submit(strategy.wait_for_others, addresses, index)


def test_the_error_names_missing_workers(monkeypatch):
    monkeypatch.setattr(strategy, "JOIN_SECONDS", 0.5)
    with socket.create_server(("localhost", 0)) as there:
        here, missing = free_addresses(2)
        addresses = [here, f"localhost:{there.getsockname()[1]}", missing]
        with pytest.raises(UserError, match=f"^{missing} did not answer .* all 3 workers"):
            strategy.wait_for_others(addresses, 0)
        with pytest.raises(OSError, match="in use"):
            strategy.wait_for_others(addresses, 1)


@pytest.mark.parametrize("index", [0, 1])
def test_a_listener_that_is_not_a_worker_ends_in_one_sentence(monkeypatch, index):
    """TensorFlow would wait for an hour; no signal may be needed to end this."""
    monkeypatch.setattr(strategy, "JOIN_SECONDS", 1.5)
    monkeypatch.setattr(strategy.tf.distribute, "MultiWorkerMirroredStrategy", pytest.fail)
    with socket.create_server(("localhost", 0)) as stranger:
        addresses = [*free_addresses(1), f"localhost:{stranger.getsockname()[1]}"]
        other = addresses[1]
        addresses = addresses if index == 0 else addresses[::-1]
        cluster_of = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        monkeypatch.setenv("TF_CONFIG", json.dumps(cluster_of))
        with pytest.raises(UserError, match=f"^{other} did not answer within 1.5 seconds"):
            strategy.join_cluster()
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_all_continue_together_though_one_reconnects(monkeypatch):
    monkeypatch.setattr(strategy, "JOIN_SECONDS", 30)
    addresses = free_addresses(3)
    ports = [int(address.split(":")[1]) for address in addresses]
    with ThreadPoolExecutor() as pool:
        with socket.create_server(("", ports[1])), socket.create_server(("", ports[2])):
            waiting = [wait_as(0, addresses, pool)]
            wait(waiting, timeout=1)
            # Worker 1 listens, reports, and disconnects. Another program's message changes nothing.
            for said in (strategy.hello(1, 3), b"\xff\0" * 999):
                with socket.create_connection(("localhost", ports[0]), timeout=5) as connection:
                    connection.sendall(said)
                    wait(waiting, timeout=1)
        waiting.append(wait_as(2, addresses, pool))
        done, _ = wait(waiting, timeout=2)
        assert not done
        waiting.append(wait_as(1, addresses, pool))
        assert [each.result(timeout=20) for each in waiting] == [None] * 3


def test_all_workers_name_the_missing_one(monkeypatch):
    monkeypatch.setattr(strategy, "JOIN_SECONDS", 3)
    addresses = free_addresses(3)
    # Worker 2 listens, but never reports.
    with (
        socket.create_server(("", int(addresses[2].split(":")[1]))),
        ThreadPoolExecutor() as pool,
    ):
        for each in [wait_as(i, addresses, pool) for i in (0, 1)]:
            with pytest.raises(UserError, match=f"^{addresses[2]} did not answer within 3"):
                each.result(timeout=20)


@pytest.mark.parametrize(
    "text, message",
    [
        (None, "`strategy` multi_worker needs TF_CONFIG"),
        ("{", "TF_CONFIG can't be used"),
        ('{"cluster": {"worker": ["a:1"]}}', "'task'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}', "no worker 1"),
        (
            '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
            "not host:port",
        ),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "it has a ps"),
        ("[]", "TF_CONFIG can't be used"),
        ("[" * 99_999, "TF_CONFIG can't be used"),
        *(
            (json.dumps({"cluster": {"worker": workers}, "task": TASK}), expected)
            for workers, expected in (
                ([7], "rpartition"),
                (["a:99999"], "not host:port"),
                (["a:0"], "not host:port"),
                (["a:1", "a:1"], "it lists an address twice"),
            )
        ),
    ],
)
def test_an_invalid_tf_config_is_one_sentence(monkeypatch, text, message):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=message):
        cluster.read_tf_config()


def test_the_chief_comes_before_the_workers(monkeypatch):
    config = {"cluster": {"worker": ["b:1", "c:1"], "chief": ["a:1"]}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config | {"task": {"type": "worker", "index": 1}}))
    assert cluster.read_tf_config() == (["a:1", "b:1", "c:1"], 2)
    monkeypatch.setenv("TF_CONFIG", json.dumps(config | {"task": {"type": "chief", "index": 0}}))
    assert cluster.read_tf_config() == (["a:1", "b:1", "c:1"], 0)
