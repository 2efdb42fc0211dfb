"""Names and amounts for people: addresses become names of the address book, integers become amounts.

Display only. Amounts are shortened towards zero; whoever needs the last unit finds it beside them, or in the
JSON form of the account, which has nothing but exact integers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal, localcontext
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Measurement, Verdict

__all__ = ["Words", "ether", "shortened"]

ETHER_DECIMALS: Final = 18
# Below this, "1 wei" says more than a fraction of an ETH.
_WEI_SHOWN_MAX: Final = 10**9
_DIGITS_SHOWN: Final = 6
_DIGITS_MAX: Final = 100
_ADDRESS: Final = r"(0x[0-9a-fA-F]{40})"
_TOKEN_AMOUNT: Final = re.compile(rf"{_ADDRESS} (\d+) units")
_UNITS: Final = re.compile(r"\b(\d+) units")
_WEI: Final = re.compile(r"(-?\d+) wei\b")
_PER_GAS: Final = re.compile(r"\b(\d+) wei per gas")
_BARE_AMOUNT: Final = re.compile(r"(?<![\dx.])\d{16,}(?![\d.]| (?:wei|units))")
_SHORTFALL: Final = re.compile(rf"shortfall of {_ADDRESS} (\d+) bps")
_BPS: Final = re.compile(r"\b(\d+) bps")
_FEED_AGE: Final = re.compile(rf"age of feed {_ADDRESS} (\d+) s")
_OUTPUT: Final = re.compile(r"gave (\d+), the plan demands (\d+)")
_SIMULATION: Final = "simulation"
_REVERTED: Final = "it would revert: "
_SILENT: Final = "reverted: no reason given"
_GWEI_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class Words:
    """Sentences of guards, strategies and contracts, for somebody who knows none of the addresses."""

    book: AddressBook
    ours: Mapping[Address, str]

    def name(self, address: Address) -> str:
        if address == NATIVE:
            return "ETH"
        entry = self.book.find(address)
        if entry is not None:
            return entry.symbol or entry.name
        return self.ours.get(address) or address_text(address)

    def amount(self, units: int, token: Address) -> str:
        if token == NATIVE:
            return ether(units)
        entry = self.book.find(token)
        if entry is None or entry.decimals is None:
            return f"{units} units of {self.name(token)}"
        return f"{shortened(units, entry.decimals)} {self.name(token)}"

    def sentence(self, text: str, symbol: str = "ETH") -> str:
        """`text` with names for addresses and amounts for integers; `symbol` is the unit of bare ones."""
        token = self._token_of(text)
        text = _SHORTFALL.sub(lambda m: f"{m[2]} bps less {self._named(m[1])} than expected", text)
        text = _FEED_AGE.sub(lambda m: f"the age of {self._named(m[1])}, {m[2]} s,", text)
        text = _TOKEN_AMOUNT.sub(lambda m: self.amount(int(m[2]), token), text)
        text = _UNITS.sub(lambda m: self.amount(int(m[1]), token), text)
        text = _PER_GAS.sub(lambda m: f"{shortened(int(m[1]), _GWEI_DECIMALS)} gwei per gas", text)
        text = _WEI.sub(lambda m: ether(int(m[1])), text)
        text = _OUTPUT.sub(_short_output, text)
        text = _BARE_AMOUNT.sub(lambda m: f"{shortened(int(m[0]), ETHER_DECIMALS)} {symbol}", text)
        text = _BPS.sub(lambda m: f"{shortened(int(m[1]), 2)} %", text)
        return re.sub(_ADDRESS, lambda m: self._named(m[1]), text)

    def refusal(self, verdict: Verdict) -> str:
        """Every reason of a refused verdict."""
        return "; ".join(self._finding(m) for m in verdict.refusals)

    def _finding(self, found: Measurement) -> str:
        if found.guard == _SIMULATION:
            why = found.reason.removeprefix(_REVERTED)
            if why == _SILENT:
                return "simulation: it would revert, and the contract gives no reason"
            return f"simulation: it would revert: {self.sentence(why)}"
        return f"{self.guard(found)}: {self.sentence(found.reason)}"

    def guard(self, found: Measurement) -> str:
        return found.guard.replace("min_", "minimum ").replace("_", " ")

    def _named(self, text: str) -> str:
        return self.name(_address(text))

    def _token_of(self, text: str) -> Address:
        found = _TOKEN_AMOUNT.search(text)
        return NATIVE if found is None else _address(found[1])


def ether(wei: int) -> str:
    """Below a billionth of an ETH, in wei."""
    return f"{wei} wei" if abs(wei) < _WEI_SHOWN_MAX else f"{shortened(wei, ETHER_DECIMALS)} ETH"


def shortened(units: int, decimals: int) -> str:
    """The amount with six decimals, or with as many significant digits where that would be nothing but
    zeros; towards zero, without trailing ones."""
    with localcontext() as context:
        context.prec = _DIGITS_MAX
        value = Decimal(units).scaleb(-decimals)
        places = max(_DIGITS_SHOWN, _DIGITS_SHOWN - value.adjusted() - 1 if value else 0)
        shown = f"{value.quantize(Decimal(1).scaleb(-places), ROUND_DOWN):f}"
    return shown.rstrip("0").rstrip(".")


def _short_output(found: re.Match[str]) -> str:
    gave, demanded = int(found[1]), int(found[2])
    # Which token it is, the error does not say; a share needs none.
    return f"pays {shortened((demanded - gave) * 10_000 // max(1, demanded), 2)} % less than the plan demands"


def _address(text: str) -> Address:
    return Address(bytes.fromhex(text.removeprefix("0x")))
