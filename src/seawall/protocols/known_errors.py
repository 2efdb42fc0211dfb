"""What other protocols say when they refuse: their custom errors, and the short codes of their strings.

    known_error(selector) -> whose it is, its name and arguments
    meaning_of(message)   -> what a code means ("BAL#507", "GS013", "SPL", Aave's numbers), whose it is

For people who read why a plan was refused; nothing is judged by it. A selector of four bytes can be somebody
else's: what is said is what these protocols mean by it. Names of custom errors stand as their sources have
them and are told in words. Sources: the published contracts of the packages under devnet/, and the protocols'
own lists of codes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from seawall.native import keccak256

__all__ = ["KnownError", "known_error", "meaning_of"]

_SELECTOR_BYTES: Final = 4
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class KnownError:
    """One custom error of somebody else's."""

    source: str
    name: str
    inputs: tuple[tuple[str, str], ...]  # (argument, ABI type)

    @property
    def words(self) -> str:
        """Its name as a sentence: capitals begin words."""
        parts = _CAPITAL.sub(" ", self.name).split()
        return " ".join(part if part.isupper() or part.startswith("ERC") else part.lower() for part in parts)


# Several have errors of one name: the first that is named here is taken for the speaker.
_ERRORS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "a token (ERC-6093)": """
            ERC20InsufficientBalance(address sender,uint256 balance,uint256 needed)
            ERC20InvalidSender(address sender) ERC20InvalidReceiver(address receiver)
            ERC20InsufficientAllowance(address spender,uint256 allowance,uint256 needed)
            ERC20InvalidApprover(address approver) ERC20InvalidSpender(address spender)
            ERC721InvalidOwner(address owner) ERC721NonexistentToken(uint256 tokenId)
            ERC721IncorrectOwner(address sender,uint256 tokenId,address owner)
            ERC721InvalidSender(address sender) ERC721InvalidReceiver(address receiver)
            ERC721InsufficientApproval(address operator,uint256 tokenId)
            ERC721InvalidApprover(address approver) ERC721InvalidOperator(address operator)
            ERC1155InsufficientBalance(address sender,uint256 balance,uint256 needed,uint256 tokenId)
            ERC1155InvalidSender(address sender) ERC1155InvalidReceiver(address receiver)
            ERC1155MissingApprovalForAll(address operator,address owner)
            ERC1155InvalidApprover(address approver) ERC1155InvalidOperator(address operator)
            ERC1155InvalidArrayLength(uint256 idsLength,uint256 valuesLength)
        """,
        "OpenZeppelin": """
            SafeERC20FailedOperation(address token)
            SafeERC20FailedDecreaseAllowance(address spender,uint256 currentAllowance,uint256 requested)
            InsufficientBalance(uint256 balance,uint256 needed) FailedCall() FailedDeployment()
            MissingPrecompile(address precompile) ReentrancyGuardReentrantCall() EnforcedPause()
            ExpectedPause() OwnableUnauthorizedAccount(address account) OwnableInvalidOwner(address owner)
        """,
        "Aave V3": """
            CallerNotPoolAdmin() CallerNotPoolOrEmergencyAdmin() CallerNotRiskOrPoolAdmin()
            CallerNotAssetListingOrPoolAdmin() AddressesProviderNotRegistered() InvalidAddressesProviderId()
            NotContract() CallerNotPoolConfigurator() CallerNotAToken() InvalidAddressesProvider()
            InvalidFlashloanExecutorReturn() ReserveAlreadyAdded() NoMoreReservesAllowed()
            EModeCategoryReserved() ReserveLiquidityNotZero() FlashloanPremiumInvalid()
            InvalidReserveParams() InvalidEmodeCategoryParams() CallerMustBePool() InvalidMintAmount()
            InvalidBurnAmount() InvalidAmount() ReserveInactive() ReserveFrozen() ReservePaused()
            BorrowingNotEnabled() NotEnoughAvailableUserBalance() InvalidInterestRateModeSelected()
            HealthFactorLowerThanLiquidationThreshold() CollateralCannotCoverNewBorrow()
            NoDebtOfSelectedType() NoExplicitAmountToRepayOnBehalf() UnderlyingBalanceZero()
            HealthFactorNotBelowThreshold() CollateralCannotBeLiquidated()
            SpecifiedCurrencyNotBorrowedByUser() InconsistentFlashloanParams() BorrowCapExceeded()
            SupplyCapExceeded() DebtCeilingExceeded() UnderlyingClaimableRightsNotZero()
            VariableDebtSupplyNotZero() LtvValidationFailed() InconsistentEModeCategory()
            PriceOracleSentinelCheckFailed() AssetNotBorrowableInIsolation() ReserveAlreadyInitialized()
            UserInIsolationModeOrLtvZero() InvalidLtv() InvalidLiquidationThreshold()
            InvalidLiquidationBonus() InvalidDecimals() InvalidReserveFactor() InvalidBorrowCap()
            InvalidSupplyCap() InvalidLiquidationProtocolFee() InvalidDebtCeiling() InvalidReserveIndex()
            AclAdminCannotBeZero() InconsistentParamsLength() ZeroAddressNotValid() InvalidExpiration()
            InvalidSignature() OperationNotSupported() DebtCeilingNotZero() AssetNotListed()
            InvalidOptimalUsageRatio() UnderlyingCannotBeRescued() AddressesProviderAlreadyAdded()
            PoolAddressesDoNotMatch() SiloedBorrowingViolation() ReserveDebtNotZero() FlashloanDisabled()
            InvalidMaxRate() WithdrawToAToken() SupplyToAToken() Slope2MustBeGteSlope1()
            CallerNotRiskOrPoolOrEmergencyAdmin() LiquidationGraceSentinelCheckFailed()
            InvalidGracePeriod() InvalidFreezeState() InvalidLtvzeroState() NotBorrowableInEMode()
            CallerNotUmbrella() ReserveNotInDeficit() MustNotLeaveDust() UserCannotHaveDebt()
            SelfLiquidation() CallerNotPositionManager()
            InvalidCollateralInEmode(address reserve,uint256 categoryId)
            InvalidDebtInEmode(address reserve,uint256 categoryId)
            MustBeEmodeCollateral(address reserve,uint256 categoryId)
        """,
        "Compound III": """
            Absurd() AlreadyInitialized() BadAsset() BadDecimals() BadDiscount() BadMinimum() BadPrice()
            BorrowTooSmall() BorrowCFTooLarge() InsufficientReserves() LiquidateCFTooLarge()
            NoSelfTransfer() NotCollateralized() NotForSale() NotLiquidatable() Paused()
            TimestampTooLarge() TooManyAssets() TooMuchSlippage() TransferInFailed() TransferOutFailed()
            Unauthorized() ReentrantCallBlocked()
        """,
        "Uniswap V4": """
            ActionNotSupported() AddLiquidityDirectToHook() AlreadyUnlocked() CannotUpdateEmptyPosition()
            CheckParameters() CurrenciesOutOfOrderOrEqual(address currency0,address currency1)
            CurrencyNotSettled() DelegateCallNotAllowed() ERC20TransferFailed()
            HookAddressNotValid(address hooks) HookCallFailed() HookDeltaExceedsSwapAmount()
            HookNotImplemented() InvalidCaller() InvalidFeeForExactOut() InvalidHookResponse()
            InvalidPrice() InvalidPriceOrLiquidity() InvalidSqrtPrice(uint160 sqrtPriceX96)
            InvalidTick(int24 tick) KeyNotSet() LPFeeTooLarge(uint24 fee) ManagerLocked()
            MustClearExactPositiveDelta() NativeTransferFailed() NoLiquidityToReceiveFees()
            NoSwapOccurred() NonzeroNativeValue() NotEnoughLiquidity() PoolAlreadyInitialized()
            PoolNotInitialized()
            PriceLimitAlreadyExceeded(uint160 sqrtPriceCurrentX96,uint160 sqrtPriceLimitX96)
            PriceLimitOutOfBounds(uint160 sqrtPriceLimitX96) PriceOverflow() ProtocolFeeCurrencySynced()
            ProtocolFeeTooLarge(uint24 fee) SafeCastOverflow() SwapAmountCannotBeZero()
            TickLiquidityOverflow(int24 tick) TickLowerOutOfBounds(int24 tickLower)
            TickMisaligned(int24 tick,int24 tickSpacing) TickSpacingTooLarge(int24 tickSpacing)
            TickSpacingTooSmall(int24 tickSpacing) TickUpperOutOfBounds(int24 tickUpper)
            TicksMisordered(int24 tickLower,int24 tickUpper) UnauthorizedDynamicLPFeeUpdate()
            WrappedError(address target,bytes4 selector,bytes reason,bytes details)
        """,
    }
)

_SAFE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "GS000": "its set-up call failed",
        "GS001": "it has no threshold",
        "GS002": "its set-up calls an address without code",
        "GS010": "not enough gas for its transaction",
        "GS011": "gas cannot be refunded in native coin",
        "GS012": "gas cannot be refunded in the token",
        "GS013": "the call that it was to make failed",
        "GS020": "the signatures are too short",
        "GS021": "a contract's signature points into the fixed part",
        "GS022": "a contract's signature has no length",
        "GS023": "a contract's signature is cut off",
        "GS024": "a contract does not confirm its signature",
        "GS025": "an owner has not approved this hash",
        "GS026": "a signature is no owner's, or not in order",
        "GS027": "the data is not that of the signed hash",
        "GS030": "only owners approve hashes",
        "GS031": "only the Safe itself may call that",
        "GS100": "its modules are set up already",
        "GS101": "this can be no module",
        "GS102": "the module is enabled already",
        "GS103": "the module does not follow the one named",
        "GS104": "only an enabled module may call that",
        "GS105": "modules cannot be listed from there",
        "GS106": "a page of modules needs a size",
        "GS200": "its owners are set up already",
        "GS201": "the threshold is above the number of owners",
        "GS202": "the threshold is zero",
        "GS203": "this can be no owner",
        "GS204": "it is an owner already",
        "GS205": "the owner does not follow the one named",
        "GS300": "the guard is no guard",
        "GS400": "it cannot be its own fallback handler",
    }
)
_BALANCER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BAL#000": "an addition overflowed",
        "BAL#001": "a subtraction overflowed",
        "BAL#003": "a multiplication overflowed",
        "BAL#004": "division by zero",
        "BAL#100": "an index or amount is out of bounds",
        "BAL#101": "a list is not sorted",
        "BAL#102": "tokens are not sorted",
        "BAL#103": "lists of different length",
        "BAL#104": "a token is the zero address",
        "BAL#204": "too few pool tokens",
        "BAL#205": "only the vault may call that",
        "BAL#206": "the pool has no liquidity yet",
        "BAL#207": "more pool tokens in than allowed",
        "BAL#208": "fewer pool tokens out than demanded",
        "BAL#211": "that is switched off",
        "BAL#304": "more in than the pool takes at once (30 %)",
        "BAL#305": "more out than the pool gives at once (30 %)",
        "BAL#309": "the pool does not have that token",
        "BAL#321": "the stable invariant did not converge",
        "BAL#400": "reentrancy",
        "BAL#401": "the caller is not authorised",
        "BAL#402": "paused",
        "BAL#406": "balance too small",
        "BAL#407": "allowance too small",
        "BAL#414": "a transfer above its allowance",
        "BAL#416": "a transfer above its balance",
        "BAL#418": "a token's transfer failed",
        "BAL#500": "there is no such pool",
        "BAL#501": "only the pool may call that",
        "BAL#503": "the user has not approved this relayer",
        "BAL#504": "wrong signature",
        "BAL#505": "less leaves than demanded",
        "BAL#506": "more goes in than allowed",
        "BAL#507": "the swap is outside its limit",
        "BAL#508": "the swap's deadline is past",
        "BAL#509": "a token is swapped for itself",
        "BAL#510": "the first swap has no amount",
        "BAL#511": "a swap does not begin with what the last one gave",
        "BAL#513": "the internal balance is too small",
        "BAL#515": "a flash loan was not repaid",
        "BAL#516": "too little native coin",
        "BAL#518": "native coin was not taken",
        "BAL#520": "other tokens than the pool's",
        "BAL#521": "the token is not registered",
        "BAL#527": "the pool has no tokens",
        "BAL#528": "the vault has less than the flash loan asks",
        "BAL#602": "the flash loan's fee was not paid",
    }
)
_UNISWAP_V3: Final[Mapping[str, str]] = MappingProxyType(
    {
        "LOK": "the pool is in the middle of another call",
        "TLU": "the lower tick is not below the upper",
        "TLM": "the lower tick is too low",
        "TUM": "the upper tick is too high",
        "AI": "the pool is initialised already",
        "M0": "token 0 was not paid for the liquidity",
        "M1": "token 1 was not paid for the liquidity",
        "AS": "an amount of zero is swapped",
        "SPL": "the price limit is on the wrong side of the price",
        "IIA": "the swap's input was not paid",
        "L": "the pool has no liquidity to lend",
        "F0": "token 0 of a flash loan was not repaid",
        "F1": "token 1 of a flash loan was not repaid",
        "LS": "more liquidity is taken than there is",
        "LA": "liquidity overflows",
        "LO": "too much liquidity at a tick",
        "NP": "there is no position",
        "OLD": "the pool does not remember that far back",
        "TF": "a token's transfer failed",
        "STF": "a token could not be taken from its holder",
        "ST": "a token's transfer failed",
        "SA": "a token could not be approved",
        "STE": "native coin was not taken",
    }
)
_AAVE_NUMBERED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "13": "the receiver of a flash loan did not confirm it",
        "26": "the amount is zero",
        "27": "the reserve is inactive",
        "28": "the reserve is frozen",
        "29": "the reserve is paused",
        "30": "borrowing is switched off",
        "32": "more is withdrawn than there is",
        "33": "that rate mode does not exist",
        "34": "there is no collateral",
        "35": "the health factor would be below the liquidation threshold",
        "36": "the collateral does not cover another loan",
        "39": "there is no such debt",
        "43": "there is no balance of the token",
        "45": "the position is healthy",
        "46": "that collateral cannot be liquidated",
        "47": "the user does not owe that token",
        "49": "lists of a flash loan differ in length",
        "50": "the borrow cap is reached",
        "51": "the supply cap is reached",
        "53": "the debt ceiling is reached",
        "57": "a loan-to-value of zero forbids that",
        "58": "the mode of the account does not admit that",
        "59": "the sequencer's grace period is not over",
        "60": "that cannot be borrowed in isolation",
        "91": "flash loans of that token are switched off",
    }
)
_CODES: Final = (
    ("Safe", _SAFE),
    ("Balancer V2", _BALANCER),
    ("Uniswap V3", _UNISWAP_V3),
    ("Aave V3 or a fork", _AAVE_NUMBERED),
)


def known_error(selector: bytes) -> KnownError | None:
    """The custom error with this selector."""
    return _by_selector().get(selector)


def meaning_of(message: str) -> str | None:
    """What a protocol means by a string that is a code: "Balancer V2: paused"."""
    for source, meanings in _CODES:
        if message in meanings:
            return f"{source}: {meanings[message]}"
    return None


@lru_cache(maxsize=1)
def _by_selector() -> Mapping[bytes, KnownError]:
    found: dict[bytes, KnownError] = {}
    for source, text in _ERRORS.items():
        for name, inside in re.findall(r"(\w+)\(([^)]*)\)", text):
            inputs = tuple(_input(one) for one in inside.split(",") if one)
            signature = f"{name}({','.join(kind for _, kind in inputs)})"
            found.setdefault(
                keccak256(signature.encode())[:_SELECTOR_BYTES], KnownError(source, name, inputs)
            )
    return found


def _input(text: str) -> tuple[str, str]:
    kind, _, name = text.strip().partition(" ")
    return name, kind
