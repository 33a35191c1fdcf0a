"""For the server captioner: a server on this machine, which lives as long as the test process."""

from pathlib import Path

from captioners.endpoint import EndpointSettings
from tests.captioners.local_server import LocalServer


def tiny_endpoint(folder: Path) -> EndpointSettings:
    return EndpointSettings(url=LocalServer().url, agreed_host="127.0.0.1", model="tiny")
