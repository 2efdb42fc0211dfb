"""Secrets of the configuration: places, what is read from them, and that nothing of it is shown (RO-5)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from typing_extensions import override

from seawall.primitives.errors import ConfigError
from seawall.runtime.configuration.secrets import SecretReader, read_secrets
from seawall.runtime.configuration.tables import Table
from tests.fixtures.loopback_tls import server_context

SECRET = "hunter2-not-to-be-shown"
TOKEN = "s.vault-token-not-to-be-shown"
WHERE = "chains[0].rpc[0]"


class VaultStandIn(ThreadingHTTPServer):
    """Vault's key-value and AppRole answers, as its documentation gives them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _VaultHandler)
        self.status = 200
        self.asked: list[tuple[str, str | None, str | None]] = []
        self.raw: bytes | None = None
        self.hangs = threading.Event()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _VaultHandler(BaseHTTPRequestHandler):
    server: VaultStandIn

    def do_GET(self) -> None:
        token = self.headers.get("X-Vault-Token")
        self.server.asked.append((self.path, token, self.headers.get("X-Vault-Namespace")))
        if self.server.status != 200:
            self._answer(self.server.status, {"errors": [f"no: {TOKEN} {SECRET}"]})
        elif token != TOKEN:
            self._answer(403, {"errors": ["permission denied"]})
        elif self.path == "/v1/kv/data/seawall/rpc":
            self._answer(200, {"data": {"data": {"key": SECRET, "number": 7}, "metadata": {"version": 1}}})
        elif self.path == "/v1/old/rpc":
            self._answer(200, {"data": {"key": SECRET}})
        else:
            self._answer(404, {"errors": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, None, None))
        if body == {"role_id": "role", "secret_id": "second"}:
            self._answer(200, {"auth": {"client_token": TOKEN}})
        else:
            self._answer(400, {"errors": ["invalid role or secret ID"]})

    def _answer(self, status: int, document: Mapping[str, object]) -> None:
        if self.server.hangs.is_set():
            threading.Event().wait(2)
        content = self.server.raw if self.server.raw is not None else json.dumps(document).encode()
        self.send_response(status)
        if status == 307:
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def vault() -> Iterator[VaultStandIn]:
    server = VaultStandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


def reader(
    folder: Path, content: Mapping[str, object] | None = None, environment: Mapping[str, str] | None = None
) -> SecretReader:
    return read_secrets(Table(content or {}, "secrets", ("vault", "aws")), folder, environment or {})


def vault_reader(
    folder: Path, vault: VaultStandIn, environment: Mapping[str, str] | None = None, **more: object
) -> SecretReader:
    table = {"address": vault.address, "token": "environment:TOKEN", **more}
    return reader(folder, {"vault": table}, environment or {"TOKEN": TOKEN})


@contextmanager
def refused(what: str, where: str = WHERE) -> Iterator[pytest.ExceptionInfo[ConfigError]]:
    """A typed refusal that names the key and shows neither the secret nor the token."""
    with pytest.raises(ConfigError, match=what) as caught:
        yield caught
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert caught.value.where == where
    assert SECRET not in shown
    assert TOKEN not in shown


class TestPlaces:
    def test_a_variable_is_read_by_its_bare_name_and_by_its_scheme(self, tmp_path: Path) -> None:
        secrets = reader(tmp_path, environment={"KEY": SECRET})
        assert (
            secrets.expanded("https://host/${KEY}/${environment:KEY}", WHERE)
            == f"https://host/{SECRET}/{SECRET}"
        )

    @pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
    def test_a_file_is_read_without_the_line_break_at_its_end(self, tmp_path: Path, ending: str) -> None:
        (tmp_path / "token").write_bytes(f"{SECRET}{ending}".encode())
        assert reader(tmp_path).place("file:token", WHERE).read().reveal() == SECRET

    @pytest.mark.parametrize(
        ("content", "what"),
        [
            (b"", "holds no text"),
            (b"\n", "holds no text"),
            (b"\xff", "holds no text"),
            (b"x" * 65_537, "larger"),
        ],
    )
    def test_a_file_without_a_secret_is_refused(self, tmp_path: Path, content: bytes, what: str) -> None:
        (tmp_path / "token").write_bytes(content)
        with refused(what):
            reader(tmp_path).place("file:token", WHERE).read()

    def test_a_missing_file_and_a_missing_variable_are_refused(self, tmp_path: Path) -> None:
        with refused("cannot be read: No such file"):
            reader(tmp_path).place("file:absent", WHERE).read()
        with refused("the environment variable ABSENT is not set"):
            reader(tmp_path).expanded("https://host/${ABSENT}", WHERE)

    def test_a_secret_in_place_of_a_variables_name_is_not_shown(self, tmp_path: Path) -> None:
        with refused("variable of this name .not shown. is not set") as caught:
            reader(tmp_path).place("hvs_CAESIJlWh0", WHERE).read()
        assert "CAESIJ" not in str(caught.value)

    @pytest.mark.parametrize(
        "text",
        [SECRET, "", "file:", "environment:", "vault:kv/a", "vault:kv#a", "aws:", "ftp:a", "environment:A B"],
    )
    def test_what_is_no_place_is_refused_without_being_shown(self, tmp_path: Path, text: str) -> None:
        with refused("not the place of a secret"):
            reader(tmp_path).place(text, WHERE)

    @settings(deadline=None)
    @given(st.text(max_size=80))
    def test_any_text_is_a_place_or_refused(self, text: str) -> None:
        try:
            place = reader(Path("nowhere")).place(text, WHERE)
        except ConfigError as error:
            assert error.where == WHERE  # noqa: PT017  (refusal is one of two right answers)
        else:
            assert text not in repr(place) or len(text) < 4

    def test_a_store_that_is_not_configured_is_named(self, tmp_path: Path) -> None:
        with refused("no Vault is configured"):
            reader(tmp_path).place("vault:kv/a#b", WHERE).read()
        with refused("Secrets Manager, which is not configured"):
            reader(tmp_path).place("aws:a", WHERE).read()


class TestVault:
    def test_a_field_of_an_entry_is_read_once(self, tmp_path: Path, vault: VaultStandIn) -> None:
        secrets = vault_reader(tmp_path, vault, namespace="team")
        for _ in range(3):
            assert secrets.place("vault:kv/seawall/rpc#key", WHERE).read().reveal() == SECRET
        assert vault.asked == [("/v1/kv/data/seawall/rpc", TOKEN, "team")]

    def test_the_first_version_of_the_engine_has_no_data_in_its_path(
        self, tmp_path: Path, vault: VaultStandIn
    ) -> None:
        secrets = vault_reader(tmp_path, vault, kv_version=1)
        assert secrets.expanded("x${vault:old/rpc#key}", WHERE) == "x" + SECRET

    def test_a_role_is_given_a_token_once(self, tmp_path: Path, vault: VaultStandIn) -> None:
        (tmp_path / "second").write_text("second")
        table = {"address": vault.address, "role_id": "environment:ROLE", "secret_id": "file:second"}
        secrets = reader(tmp_path, {"vault": table}, {"ROLE": "role"})
        assert secrets.place("vault:kv/seawall/rpc#key", WHERE).read().reveal() == SECRET
        with refused("no such entry"):
            secrets.place("vault:kv/other#key", WHERE).read()
        assert [path for path, _, _ in vault.asked].count("/v1/auth/approle/login") == 1

    def test_a_wrong_role_is_refused(self, tmp_path: Path, vault: VaultStandIn) -> None:
        table = {"address": vault.address, "role_id": "environment:ROLE", "secret_id": "environment:ROLE"}
        with refused("refused the request or the role"):
            reader(tmp_path, {"vault": table}, {"ROLE": SECRET}).place("vault:kv/a#b", WHERE).read()

    @pytest.mark.parametrize(
        ("status", "what"),
        [
            (503, "sealed"),
            (403, "refuses this token"),
            (404, "no such entry"),
            (307, "standby"),
            (500, "500"),
        ],
    )
    def test_a_refusal_says_what_it_means(
        self, tmp_path: Path, vault: VaultStandIn, status: int, what: str
    ) -> None:
        vault.status = status
        with refused(what):
            vault_reader(tmp_path, vault).place("vault:kv/seawall/rpc#key", WHERE).read()

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"not json",
            b"[]",
            b'{"data": 1}',
            b'{"data": {"data": {"key": 5}}}',
            b"[" * 100_000,
            b" " * 2_000_000,
        ],
    )
    def test_an_answer_of_another_shape_is_refused(
        self, tmp_path: Path, vault: VaultStandIn, raw: bytes
    ) -> None:
        vault.raw = raw
        with refused("has no text under 'key'"):
            vault_reader(tmp_path, vault).place("vault:kv/seawall/rpc#key", WHERE).read()

    def test_a_vault_that_hangs_is_waited_for_no_longer_than_its_time_out(
        self, tmp_path: Path, vault: VaultStandIn
    ) -> None:
        vault.hangs.set()
        with refused("does not answer"):
            vault_reader(tmp_path, vault, timeout_s=0.1).place("vault:kv/seawall/rpc#key", WHERE).read()

    @pytest.mark.parametrize("rest", ["\n", "\r\nX-Other: 1", "\u20ac", "\x00"])
    def test_a_token_that_is_no_header_is_not_shown(self, tmp_path: Path, rest: str) -> None:
        (tmp_path / "token").write_text(f"{TOKEN}{rest}\n", newline="")
        table = {"address": "http://127.0.0.1:1", "token": "file:token"}
        with refused("cannot be sent in a header", "secrets.vault.token"):
            reader(tmp_path, {"vault": table}).place("vault:kv/a#b", WHERE).read()

    def test_a_vault_whose_certificate_nobody_vouches_for_is_not_given_the_token(
        self, tmp_path: Path, vault: VaultStandIn
    ) -> None:
        vault.socket = server_context(tmp_path).wrap_socket(vault.socket, server_side=True)
        address = vault.address.replace("http:", "https:")
        with refused("does not answer .SSLCertVerificationError"):
            vault_reader(tmp_path, vault, address=address).place("vault:kv/seawall/rpc#key", WHERE).read()
        assert vault.asked == []
        trusted = vault_reader(tmp_path, vault, address=address, ca_file="certificate.pem")
        assert trusted.place("vault:kv/seawall/rpc#key", WHERE).read().reveal() == SECRET

    @pytest.mark.parametrize("content", [None, b"no certificate"])
    def test_a_file_of_certificates_that_cannot_be_used_is_named(
        self, tmp_path: Path, vault: VaultStandIn, content: bytes | None
    ) -> None:
        if content is not None:
            (tmp_path / "ca.pem").write_bytes(content)
        with refused("cannot be used", "secrets.vault.ca_file"):
            vault_reader(tmp_path, vault, ca_file="ca.pem").place("vault:kv/a#b", WHERE).read()

    def test_the_token_is_not_handed_to_a_proxy_of_the_environment(
        self, tmp_path: Path, vault: VaultStandIn, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        monkeypatch.setenv("no_proxy", "")
        secrets = vault_reader(tmp_path, vault)
        assert secrets.place("vault:kv/seawall/rpc#key", WHERE).read().reveal() == SECRET

    def test_a_vault_that_is_not_there_is_named_by_host_only(self, tmp_path: Path) -> None:
        table = {"address": "http://127.0.0.1:1", "token": "environment:T"}
        with refused("Vault at http://127.0.0.1:1 does not answer"):
            reader(tmp_path, {"vault": table}, {"T": TOKEN}).place("vault:kv/a#b", WHERE).read()

    @pytest.mark.parametrize(
        "address",
        [
            "http://vault.example:8200",
            f"https://u:{SECRET}@vault.example",
            "vault",
            "https://h?x=1",
            "https://h:x",
            "https://h#x",
            "https://h#",
            "https://h/a b",
            "https://h\u00e9",
        ],
    )
    def test_an_address_that_would_show_the_token_is_refused(self, tmp_path: Path, address: str) -> None:
        with refused("not the address of a store", "secrets.vault.address"):
            reader(tmp_path, {"vault": {"address": address, "token": "environment:T"}})

    @pytest.mark.parametrize("names", [(), ("token", "role_id"), ("role_id",), ("token", "secret_id")])
    def test_vault_is_entered_in_exactly_one_way(self, tmp_path: Path, names: tuple[str, ...]) -> None:
        table = {"address": "https://vault.example", **dict.fromkeys(names, "environment:T")}
        with refused("either by a token or by a role", "secrets.vault"):
            reader(tmp_path, {"vault": table})


@pytest.fixture(scope="module")
def aws_address() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws(aws_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return aws_address


class TestAws:
    def test_a_text_and_a_field_of_it_are_read(self, tmp_path: Path, aws: str) -> None:
        client = boto3.client("secretsmanager", region_name="eu-central-1", endpoint_url=aws)
        client.create_secret(Name="seawall/rpc", SecretString=json.dumps({"key": SECRET}))
        client.create_secret(Name="plain", SecretString=SECRET)
        client.create_secret(Name="binary", SecretBinary=b"\x00\x01")
        secrets = reader(tmp_path, {"aws": {"region": "eu-central-1", "endpoint": aws}})
        assert secrets.place("aws:seawall/rpc#key", WHERE).read().reveal() == SECRET
        assert secrets.place("aws:plain", WHERE).read().reveal() == SECRET
        with refused("has no text under 'other'"):
            secrets.place("aws:seawall/rpc#other", WHERE).read()
        with refused("has no text under 'key'"):
            secrets.place("aws:plain#key", WHERE).read()
        with refused("is not a text"):
            secrets.place("aws:binary", WHERE).read()
        with refused("ResourceNotFoundException"):
            secrets.place("aws:absent", WHERE).read()

    def test_a_machine_without_credentials_is_told_so(
        self, tmp_path: Path, aws: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("HOME", str(tmp_path))
        boto3.DEFAULT_SESSION = None
        with refused("NoCredentialsError"):
            reader(tmp_path, {"aws": {"region": "eu-central-1", "endpoint": aws}}).place(
                "aws:a", WHERE
            ).read()

    def test_a_network_that_is_away_is_told_so(self, tmp_path: Path, aws: str) -> None:
        table = {"region": "eu-central-1", "endpoint": "http://127.0.0.1:1", "timeout_s": 0.2}
        with refused("cannot be asked"):
            reader(tmp_path, {"aws": table}).place("aws:a", WHERE).read()
