"""A key of AWS KMS: key spec ECC_SECG_P256K1, usage SIGN_VERIFY.

Flow: `GetPublicKey` says whose key it is; `Sign` with MessageType DIGEST signs exactly the 32 bytes that it
is given (its algorithm's name says SHA_256 and only means their length) and answers DER, whose s may be high.

Credentials are found as AWS's library finds them: variables, its files, the machine's role. Its own retries
are off, because `checked` repeats throttled calls within the time that a call has. Refusals are told by AWS's
error code alone: its sentences may hold parts of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from seawall.primitives.errors import (
    SignerBusyError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.units import Address
from seawall.signers.checked import Answer, PlainSignature, SigningRequest
from seawall.signers.der import address_of_point, compact_from_der, point_from_spki
from seawall.signers.kinds import AwsKmsKey
from seawall.signers.threads import THREADS_MAX, OwnThreads

if TYPE_CHECKING:
    from types_boto3_kms import KMSClient

__all__ = ["CONNECT_TIMEOUT_S", "AwsKms"]

CONNECT_TIMEOUT_S: Final = 3.0
_KEY_SPEC: Final = "ECC_SECG_P256K1"

T = TypeVar("T")

_BUSY: Final = frozenset(
    {"ThrottlingException", "Throttling", "LimitExceededException", "RequestLimitExceeded", "TooManyRequests"}
)
_PASSING: Final = frozenset(
    {
        "DependencyTimeoutException",
        "KMSInternalException",
        "InternalFailure",
        "ServiceUnavailable",
        "500",
        "503",
    }
)
_FIXES: Final = {
    "AccessDeniedException": "allow kms:GetPublicKey and kms:Sign on this key to the kernel's role",
    "DisabledException": "enable the key",
    "ExpiredTokenException": "renew the credentials",
    "InvalidKeyUsageException": "make a key of spec ECC_SECG_P256K1 and usage SIGN_VERIFY",
    "KMSInvalidStateException": "look at the key's state: it may be disabled or waiting to be deleted",
    "NotFoundException": "correct key_id and region",
    "UnrecognizedClientException": "correct the credentials",
}


@dataclass(slots=True)
class AwsKms:
    """Fulfils `Remote`."""

    key: AwsKmsKey
    read_timeout_s: float
    _client: KMSClient | None = field(repr=False, default=None)
    _threads: OwnThreads = field(repr=False, default_factory=lambda: OwnThreads("aws-kms"))

    @property
    def place(self) -> str:
        return f"AWS KMS key {self.key.key_id}"

    @property
    def per_call_max(self) -> int:
        return 1

    @property
    def calls_at_once_max(self) -> int:
        return THREADS_MAX

    async def open(self) -> Sequence[Address]:
        return [await self._threads.run(lambda: self._told(self._address))]

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return [await self._signed(request) for request in requests]

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _signed(self, request: SigningRequest) -> Answer:
        def work() -> bytes:
            answer = self._connected().sign(
                KeyId=self.key.key_id,
                Message=request.digest,
                MessageType="DIGEST",
                SigningAlgorithm="ECDSA_SHA_256",
            )
            return answer["Signature"]

        return PlainSignature(compact_from_der(await self._threads.run(lambda: self._told(work))))

    def _address(self) -> Address:
        answer = self._connected().get_public_key(KeyId=self.key.key_id)
        # Where it is left out, the key itself says on which curve it is.
        spec = answer.get("KeySpec", _KEY_SPEC)
        if spec != _KEY_SPEC:
            raise SignerRefusedError(
                f"{self.place} is of spec {spec}", "", _FIXES["InvalidKeyUsageException"]
            )
        return address_of_point(point_from_spki(answer["PublicKey"]))

    def _connected(self) -> KMSClient:
        if self._client is None:
            import boto3
            from botocore.config import Config

            self._client = boto3.session.Session().client(
                "kms",
                region_name=self.key.region,
                endpoint_url=self.key.endpoint,
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT_S,
                    read_timeout=self.read_timeout_s,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    max_pool_connections=THREADS_MAX,
                ),
            )
        return self._client

    def _told(self, work: Callable[[], T]) -> T:
        """What `work` gives, with AWS's errors as ours."""
        try:
            from botocore import exceptions as aws
        except ImportError:
            raise SignerRefusedError(
                "AWS's library is not installed", "", "pip install 'seawall[aws]'"
            ) from None
        try:
            return work()
        except aws.ClientError as error:
            raise self._of_code(str(error.response.get("Error", {}).get("Code", "without a code"))) from None
        except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.NoRegionError) as error:
            raise SignerRefusedError(
                f"{self.place} cannot be asked ({type(error).__name__})",
                "",
                "give AWS credentials and a region, by role, variables or files",
            ) from None
        except aws.BotoCoreError as error:
            raise SignerUnavailableError(
                f"{self.place} cannot be reached ({type(error).__name__})", "", "look at network and endpoint"
            ) from None

    def _of_code(self, code: str) -> SignerError:
        if code in _BUSY:
            return SignerBusyError(f"{self.place} is throttled ({code})", "", "ask for a higher quota")
        if code in _PASSING:
            return SignerUnavailableError(f"{self.place} cannot sign now ({code})", "", "wait for AWS")
        return SignerRefusedError(
            f"{self.place} refuses ({code})", "", _FIXES.get(code, "look the code up in AWS's manual")
        )
