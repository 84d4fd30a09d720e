"""Serves the generator of a run as a web page on this machine.

The page draws new images on request, of a given class if the run is conditional; interpolates
between any two; does latent arithmetic with three; and shows the progress and curves of the
training, including one that is still running. It also lists the HTTP API, which returns JSON and
PNGs.
"""

import dataclasses

from dcgan_tf.commands.flags import parse
from dcgan_tf.commands.program import quiet_tensorflow
from dcgan_tf.commands.run_flags import GeneratorFlags
from dcgan_tf.settings.errors import UserError, first_line
from dcgan_tf.settings.fields import between, setting

PORT = between(1, 65535)


@dataclasses.dataclass(frozen=True)
class WebFlags(GeneratorFlags):
    """Which generator to serve, and where."""

    host: str = setting(
        "127.0.0.1", "Server", "address; 0.0.0.0 accepts connections from other machines"
    )
    port: int = setting(8000, "Server", "port", PORT)


def main() -> None:
    """Reads the flags, loads the generator, and serves until interrupted."""
    (flags,) = parse(__doc__, WebFlags)
    with quiet_tensorflow():
        from dcgan_tf.run.run_directory import RunDirectory

        try:
            import waitress

            from dcgan_tf.serving.web_app import MAX_BODY, MAX_HEADER, make_app
        except ModuleNotFoundError as error:
            if error.name not in ("flask", "waitress"):
                raise
            raise UserError(f'{error.name} is missing: pip install "dcgan-tf[web]"') from None

    app = make_app(RunDirectory(flags.run_path))
    try:
        server = waitress.create_server(
            app,
            host=flags.host,
            port=flags.port,
            max_request_body_size=MAX_BODY,
            max_request_header_size=MAX_HEADER,
        )
    except (OSError, ValueError) as error:
        raise UserError(
            f"--host {flags.host!r} --port {flags.port} can't be used ({first_line(error)}): use "
            f"another port or host"
        ) from None
    host = f"[{flags.host}]" if ":" in flags.host else flags.host
    print(f"http://{host}:{flags.port} (stop with Ctrl-C)", flush=True)
    server.run()
