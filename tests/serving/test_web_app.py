import base64
import concurrent.futures
import contextlib
import errno
import json
import os
import random
import shutil
import socket
import string
import sys
import time
import urllib.request
from types import SimpleNamespace

import imageio.v3 as iio
import numpy as np
import pytest

from dcgan_tf.commands import web
from dcgan_tf.run.run_directory import RunDirectory
from dcgan_tf.serving.web_app import make_app
from dcgan_tf.settings.errors import UserError
from tests.conftest import fork, one_sentence
from tests.sampling.test_sampler import draw


@pytest.fixture(scope="module")
def client(finished_run):
    return make_app(RunDirectory(finished_run)).test_client()


def picture(response):
    assert response.status_code == 200 and response.mimetype == "image/png"
    return iio.imread(response.data).astype(int)


def test_images_are_those_of_the_sampler(client, run_main, finished_run, tmp_path):
    draw(run_main, finished_run, tmp_path / "a.npz", "--num_images=9", "--seed=5")
    with np.load(tmp_path / "a.npz") as archive:
        images = archive["images"].astype(int)[..., 0]
    found = client.get("/api/images?seed=5&first=2&count=7").get_json()
    assert [each["number"] for each in found] == list(range(2, 9))
    for each in found:
        shown = iio.imread(base64.b64decode(each["png"].split(",")[1])).astype(int)
        assert np.abs(shown - images[each["number"]]).max() <= 1
    enlarged = picture(client.get("/api/image.png?seed=5&number=3&zoom=4"))
    assert np.abs(enlarged[::4, ::4] - images[3]).max() <= 1
    assert np.array_equal(enlarged, enlarged[::4, ::4].repeat(4, 0).repeat(4, 1))


def test_interpolation_begins_and_ends_at_its_images_and_arithmetic_cancels(client):
    ends = [picture(client.get(f"/api/image.png?seed=5&number={n}")) for n in (3, 8)]
    path = "/api/interpolation.png?seed=5&from=3&to=8"
    for fraction, end in zip(("0", "1.0"), ends):
        image = picture(client.get(f"{path}&fraction={fraction}"))
        assert np.abs(image - end).max() <= 1
    middle = picture(client.get(f"{path}&fraction=0.5"))
    assert np.array_equal(middle, picture(client.get(path)))
    assert all(np.abs(middle - end).max() > 1 for end in ends)
    result = picture(client.get("/api/arithmetic.png?seed=5&a=8&b=6&c=6"))
    assert np.abs(result - ends[1]).max() <= 1


def test_checkpoints_frames_and_plots(client, finished_run):
    run = client.get("/api/run").get_json()
    assert run["checkpoints"] == ["8", "10", "12"] and run["epochs"] == [0, 1, 2]
    assert run["plots"] == ["losses"]
    older = picture(client.get("/api/image.png?seed=5&number=3&checkpoint=8"))
    assert not np.array_equal(older, picture(client.get("/api/image.png?seed=5&number=3")))
    frame = client.get("/api/frame.png?epoch=2").data
    assert frame == (finished_run / "samples" / "epoch_0002.png").read_bytes()
    assert client.get("/api/plot.png").data == (finished_run / "losses.png").read_bytes()


def test_a_run_says_its_shape_its_best_checkpoint_and_when_it_changed(finished_run, tmp_path):
    copy = shutil.copytree(finished_run, tmp_path / "run")
    client = make_app(RunDirectory(copy)).test_client()
    before = client.get("/api/run").get_json()
    assert before["shape"] == [28, 28, 1] and before["best"] is None
    (copy / "checkpoints" / "best").write_text("10\n")
    for name in ("losses.png", "samples/epoch_0002.png"):
        for folder in (copy, copy / "samples"):
            os.utime(folder, (0, 0))
        started = time.time()
        shutil.copy(copy / name, tmp_path / "new")
        (tmp_path / "new").replace(copy / name)
        after = client.get("/api/run").get_json()
        assert abs(after["changed"] - started) < 60 and after["changed"] > before["changed"]
    assert after["best"] == "10"
    (copy / "checkpoints" / "best").write_text("9\n")  # is not there any more
    assert client.get("/api/run").get_json()["best"] is None


def test_epochs_are_those_whose_grids_are_there(client, finished_run):
    samples = finished_run / "samples"
    stranger = samples / "epoch_0002 (copy).png"
    stranger.write_bytes((samples / "epoch_0001.png").read_bytes())
    kept = (samples / "init.png").rename(samples / "kept")
    try:
        assert client.get("/api/run").get_json()["epochs"] == [1, 2]
        assert "there is no epoch 0" in client.get("/api/frame.png?epoch=0").get_json()["error"]
        frame = client.get("/api/frame.png?epoch=1").data
        assert frame == (samples / "epoch_0001.png").read_bytes()
    finally:
        stranger.unlink()
        kept.rename(samples / "init.png")
    assert client.get("/api/run").get_json()["epochs"] == [0, 1, 2]


def test_a_damaged_checkpoint_is_left_out(finished_run, tmp_path):
    shutil.copytree(finished_run, tmp_path / "run")
    images = {}
    for damaged in ("none", "12"):
        for path in (tmp_path / "run" / "checkpoints").glob(f"ckpt-{damaged}.data*"):
            path.write_bytes(path.read_bytes()[:-999])
        client = make_app(RunDirectory(tmp_path / "run")).test_client()
        images[damaged] = picture(client.get("/api/image.png"))
        older = picture(client.get("/api/image.png?checkpoint=10"))
    assert np.array_equal(images["12"], older) and not np.array_equal(images["none"], older)
    assert client.get("/api/run").get_json()["checkpoints"] == ["8", "10"]
    error = client.get("/api/image.png?checkpoint=12").get_json()["error"]
    assert error == "checkpoint must be one of 8, 10 or best"
    for path in (finished_run / "checkpoints").glob("ckpt-12.data*"):  # written anew, as a run does
        shutil.copy(path, tmp_path / "run" / "checkpoints")
    assert client.get("/api/run").get_json()["checkpoints"] == ["8", "10", "12"]
    assert np.array_equal(picture(client.get("/api/image.png?checkpoint=12")), images["none"])
    for path in (tmp_path / "run" / "checkpoints").glob("ckpt-*.index"):
        path.write_bytes(b"")
    with pytest.raises(UserError, match="has no intact checkpoint"):
        make_app(RunDirectory(tmp_path / "run"))


@pytest.mark.parametrize(
    "address, expected",
    [
        ("/api/images?count=0", "count must be a whole number from 1 to 64"),
        ("/api/images?count=65", "count must be"),
        ("/api/images?seed=-1", "seed must be"),
        ("/api/images?seed=1e3", "seed must be"),
        ("/api/images?seed=٣", "seed must be"),
        ("/api/images?seed=99999999999999999999", "seed must be"),
        ("/api/images?seeds=1", "unknown parameter 'seeds'; the parameters are: seed, first"),
        ("/api/images?seed=1&seed=2", "seed is given 2 times"),
        ("/api/images?checkpoint=9", "checkpoint must be one of 8, 10, 12 or best"),
        ("/api/images?checkpoint=../../etc/passwd", "checkpoint must be"),
        ("/api/images?checkpoint=best", "no best checkpoint"),
        ("/api/frame.png?epoch=3", "there is no epoch 3"),
        ("/api/frame.png?epoch=../config", "epoch must be"),
        ("/api/plot.png?name=../config.json", "name must be one of"),
        ("/api/image.png?zoom=17", "zoom must be"),
        ("/api/interpolation.png?fraction=1.01", "fraction must be a number from 0 to 1"),
        ("/api/interpolation.png?fraction=-0.5", "fraction must be"),
        ("/api/interpolation.png?fraction=nan", "fraction must be"),
        ("/api/interpolation.png?fraction=", "fraction must be"),
        ("/api/interpolation.png?share=500", "unknown parameter 'share'"),
    ],
)
def test_mistakes_get_status_400_and_one_sentence(client, address, expected):
    response = client.get(address)
    assert response.status_code == 400 and expected in response.get_json()["error"]


def test_other_paths_and_methods_are_refused(client):
    for address in ("/x", "/../config.json", "/api", "/static/page.html", "/%2e%2e/config.json"):
        assert client.get(address).status_code == 404
    assert client.post("/api/images", data=b"x").status_code == 405


@contextlib.contextmanager
def served(run):
    """The page of a run, served by a process of its own; gives its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dcgan_tf", "web", f"--run_dir={run}", f"--port={port}"]
    process = fork(command)
    assert process.stdout.readline().startswith(f"http://127.0.0.1:{port} ")
    yield port
    process.terminate()
    process.join()


@pytest.fixture(scope="module")
def server(finished_run):
    with served(finished_run) as port:
        yield port


def test_an_ipv6_address_is_shown_as_browsers_take_it(run_main, finished_run, monkeypatch):
    monkeypatch.setattr("waitress.create_server", lambda *_, **__: SimpleNamespace(run=list))
    _, out, _ = run_main(web, f"--run_dir={finished_run}", "--host=::1", "--port=8123")
    assert out.startswith("http://[::1]:8123 ")


def ask(port, request):
    """Sends raw bytes to the server; returns the status code of its answer, 0 without one."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            answer = connection.makefile("rb").readline()
        except OSError as error:
            if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
                raise
            return 0  # it hung up before it had read all of it
    return int(answer.split()[1]) if answer else 0


def test_hostile_requests_bring_nothing_down(server):
    rng = random.Random(0)
    names = ["images", "image.png", "interpolation.png", "arithmetic.png", "frame.png"]
    paths = [f"/api/{name}" for name in names]
    names = ["seed", "count", "first", "number", "zoom", "checkpoint", "epoch", "fraction", "a", ""]
    values = ["-1", "1e9", "9" * 5000, "../" * 9, "%00", "%ff%fe", "NaN", "", "0x10", "1;ls", "é"]
    codes = set()
    for i in range(2000):
        path, name, value = rng.choice(paths), rng.choice(names), rng.choice(values)
        method = rng.choice(["GET", "GET", "GET", "POST", "PUT", "\x00", "G" * 300])
        request = f"{method} {path}?{name}={value} HTTP/1.1\r\nHost: x\r\n".encode()
        request += [
            b"\r\n",
            b"Content-Length: 99\r\n\r\ncut",
            b"Content-Length: -1\r\n\r\n",
            b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"X: " + "".join(rng.choices(string.printable, k=50)).encode() + b"\r\n\r\n",
        ][i % 5]
        codes.add(ask(server, request))
    codes.add(ask(server, b"GET /" + b"x" * 10**6 + b" HTTP/1.1\r\n\r\n"))
    assert {400, 405} <= codes and 500 not in codes
    assert ask(server, b"GET /api/images HTTP/1.0\r\n\r\n") == 200


def test_many_clients_get_each_their_own_images(server, client):
    def fetch(seed):
        address = f"http://127.0.0.1:{server}/api/images?seed={seed}"
        with urllib.request.urlopen(address, timeout=120) as answer:
            return json.load(answer)

    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(fetch, range(64)))
    for seed in (0, 13, 63):
        assert answers[seed] == client.get(f"/api/images?seed={seed}").get_json()


def test_a_run_that_cannot_be_served(run_main, finished_run, tmp_path, server):
    for flags, expected in (
        ([], "--run_dir is required"),
        ([f"--run_dir={tmp_path}"], "not a run directory"),
        ([f"--run_dir={finished_run}", "--port=0"], "--port must be a whole number from 1"),
        ([f"--run_dir={finished_run}", f"--port={server}"], "use another port"),
        (
            [f"--run_dir={finished_run}", "--host="],
            "--host is empty: set a value, or leave it out",
        ),
        ([f"--run_dir={finished_run}", "--host=nowhere.invalid"], "--host 'nowhere.invalid'"),
    ):
        code, _, err = run_main(web, *flags)
        assert code == 1 and expected in err and one_sentence(err)
    with pytest.raises(UserError):
        make_app(RunDirectory(tmp_path))
