"""The process that holds one token's library. Run by `pkcs11` as a file; imports nothing of Seawall.

A vendor's library runs code of its own, may hang, and may end the process it is loaded into: so it is loaded
here. One JSON line in, one JSON line out, on a socket that the library does not know; what it prints is
dropped. The PIN comes in the first line and stays in this process, which leaves no core dump, lets no other
program of this user read its memory, and ends with its parent.

A lost session, or a token that was away, is opened again once for each request. A PIN that was refused is
forgotten, so that no repetition ever locks a token.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from typing import IO, Any, Final

__all__ = ["Refusal", "Token", "serve"]

PR_SET_PDEATHSIG: Final = 1
PR_SET_DUMPABLE: Final = 4
SECP256K1_OID: Final = bytes.fromhex("06052b8104000a")
OCTET_STRING: Final = 4
SHOWN_MAX: Final = 5


class Refusal(Exception):  # noqa: N818  (not an error of this process)
    """What is answered instead of a result. `kind`: "away" (later may help) or "refused"."""

    def __init__(self, kind: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.kind = kind
        self.what = what
        self.fix = fix


class Token:
    """One key of one token, opened when it is needed."""

    def __init__(self, request: Mapping[str, Any]) -> None:
        self._module: str = request["module"]
        self._token_label: str | None = request["token_label"]
        self._slot: int | None = request["slot"]
        self._key_label: str | None = request["key_label"]
        self._key_id: str | None = request["key_id"]
        self._pin: str | None = request["pin"]
        self._library: Any = None
        self._session: Any = None
        self._key: Any = None
        self._is_stale = False

    def point(self) -> str:
        """The public point in hex; nothing, where the token does not say."""
        from pkcs11 import Attribute, ObjectClass

        self._require_open()
        found = list(self._session.get_objects(self._search(ObjectClass.PUBLIC_KEY)))
        if len(found) != 1:
            return ""
        wrapped = bytes(found[0][Attribute.EC_POINT])
        # A DER OCTET STRING; some libraries leave the wrapping out.
        bare = wrapped[2:] if wrapped[0] == OCTET_STRING and wrapped[1] == len(wrapped) - 2 else wrapped
        return bare.hex()

    def sign(self, digests: list[str]) -> list[str]:
        from pkcs11 import PKCS11Error

        contents = [bytes.fromhex(digest) for digest in digests]
        try:
            return self._signed(contents)
        except PKCS11Error:
            self._let_go()
        try:
            return self._signed(contents)
        except PKCS11Error as error:
            self._let_go()
            raise Refusal("away", f"the token does not sign ({_name(error)})", "look at the token") from None

    def _signed(self, contents: list[bytes]) -> list[str]:
        from pkcs11 import Mechanism

        self._require_open()
        return [bytes(self._key.sign(one, mechanism=Mechanism.ECDSA)).hex() for one in contents]

    def _require_open(self) -> None:
        if self._key is not None:
            return
        from pkcs11 import PKCS11Error

        if self._pin is None:
            raise Refusal("refused", "the token refused the PIN", "correct the PIN, then start again")
        self._load()
        try:
            self._open(self._pin)
        except PKCS11Error as error:
            self._let_go()
            raise self._told(error) from None
        except Refusal:
            self._let_go()
            raise

    def _load(self) -> None:
        """Load the library, or begin it anew: it may remember a token that is gone, or miss one that came."""
        import pkcs11

        if self._is_stale and self._library is not None:
            # Where even that fails this process ends, and the next one begins from nothing.
            self._library.reinitialize()
        self._is_stale = False
        if self._library is not None:
            return
        try:
            self._library = pkcs11.lib(self._module)
        except (pkcs11.PKCS11Error, RuntimeError, OSError):
            raise Refusal(
                "refused",
                f"{self._module} is no PKCS#11 library that can be loaded",
                "name the file that the token's maker gives",
            ) from None

    def _open(self, pin: str) -> None:
        from pkcs11 import Attribute, KeyType, ObjectClass

        token = self._found_token()
        self._session = token.open(user_pin=pin)
        search = {**self._search(ObjectClass.PRIVATE_KEY), Attribute.KEY_TYPE: KeyType.EC}
        found = list(self._session.get_objects(search))
        if len(found) != 1:
            many = "several EC keys" if found else "no EC key"
            raise Refusal(
                "refused",
                f"the token has {many} of this label and id",
                "correct key_label or key_id; give both where labels repeat",
            )
        if not self._is_on_curve(found[0]):
            raise Refusal("refused", "the key is not on secp256k1", "make one on secp256k1")
        self._key = found[0]

    def _found_token(self) -> Any:
        slots = self._library.get_slots(token_present=True)
        tokens = [(slot.slot_id, slot.get_token()) for slot in slots]
        for number, token in tokens:
            if number == self._slot or (self._slot is None and token.label == self._token_label):
                return token
        wanted = f"slot {self._slot}" if self._slot is not None else f"token {self._token_label!r}"
        labels = ", ".join(repr(token.label) for _, token in tokens[:SHOWN_MAX]) or "none"
        raise Refusal(
            "away", f"there is no {wanted}; present: {labels}", "plug it in, or correct token_label or slot"
        )

    def _search(self, of: Any) -> dict[Any, Any]:
        from pkcs11 import Attribute

        search: dict[Any, Any] = {Attribute.CLASS: of}
        if self._key_label is not None:
            search[Attribute.LABEL] = self._key_label
        if self._key_id is not None:
            search[Attribute.ID] = bytes.fromhex(self._key_id)
        return search

    def _is_on_curve(self, key: Any) -> bool:
        from pkcs11 import Attribute, PKCS11Error

        try:
            return bytes(key[Attribute.EC_PARAMS]) == SECP256K1_OID
        except PKCS11Error:
            return True  # it does not say; the first signature will

    def _told(self, error: Exception) -> Refusal:
        from pkcs11 import exceptions as said

        if isinstance(error, said.PinIncorrect | said.PinInvalid | said.PinLenRange | said.PinExpired):
            self._pin = None
            return Refusal("refused", "the token refused the PIN", "correct the PIN, then start again")
        if isinstance(error, said.PinLocked):
            self._pin = None
            return Refusal("refused", "the token's PIN is locked", "have its security officer set a new one")
        return Refusal("away", f"the token cannot be opened ({_name(error)})", "look at the token")

    def _let_go(self) -> None:
        """Close what is open."""
        from pkcs11 import PKCS11Error

        session, self._session, self._key, self._is_stale = self._session, None, None, True
        if session is not None:
            with contextlib.suppress(PKCS11Error):
                session.close()


def _name(error: Exception) -> str:
    """PKCS#11's own name; its sentence may hold what was asked."""
    return type(error).__name__


def serve(requests: IO[str], answers: IO[str]) -> None:
    token: Token | None = None
    for line in requests:
        request: dict[str, Any] = json.loads(line)
        try:
            if request["do"] == "open":
                token = Token(request)
                answer: dict[str, object] = {"point": token.point()}
            else:
                assert token is not None
                answer = {"signatures": token.sign(request["digests"])}
        except Refusal as refusal:
            answer = {"kind": refusal.kind, "what": refusal.what, "fix": refusal.fix}
        except ImportError:
            answer = {
                "kind": "refused",
                "what": "the library for tokens is not installed",
                "fix": "pip install 'seawall[pkcs11]'",
            }
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        system = ctypes.CDLL(None)
        system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        system.prctl(PR_SET_DUMPABLE, 0)
    asked = os.dup(0)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    serve(os.fdopen(asked), os.fdopen(os.dup(asked), "w"))


if __name__ == "__main__":
    main()
