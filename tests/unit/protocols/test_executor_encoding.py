"""The executor's byte layout, against a reader that is written here and shares no code with the encoder."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode

from seawall.native import keccak256
from seawall.primitives.errors import PlanError
from seawall.primitives.plans import ExecutorBody, Plan, TokenBound
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.executor.encoding import (
    EXECUTE_SELECTOR,
    EXECUTE_SIGNATURE,
    Execution,
    encode_operations,
    execution_calldata,
    execution_of,
)
from seawall.protocols.executor.operations import (
    Call,
    CallWithAllowance,
    DebtKind,
    Flash,
    Loan,
    Measure,
    Measured,
    RepayDebt,
    Splice,
    SwapQuoted,
    SwapV2,
    SwapV3,
)
from seawall.protocols.executor.policy import FactoryKind, LenderKind

WETH = Address(b"\x11" * 20)
USD = Address(b"\x22" * 20)
VAULT = Address(b"\x33" * 20)
FACTORY = Address(b"\x44" * 20)
TARGET = Address(b"\x55" * 20)
EXECUTOR = Address(b"\x66" * 20)
DIGEST = b"\xdd" * 32


def test_flash_arbitrage_has_the_bytes_of_the_documented_layout() -> None:
    operations = (
        Flash(
            lender=VAULT,
            loans=(Loan(WETH, 0x0102),),
            operations=(
                SwapV2(FACTORY, WETH, USD, 0x0102, measure=(Measure("usd", USD),)),
                SwapV3(FACTORY, USD, WETH, 3000, Measured("usd"), min_out=5),
            ),
        ),
    )
    swap_v2 = b"\x04\x01" + USD + FACTORY + WETH + USD + b"\x02\x01\x02" + b"\x00" + bytes(3)
    swap_v3 = b"\x05\x00" + (3000).to_bytes(3, "big") + FACTORY + USD + WETH + b"\x80" + b"\x01\x05" + b"\x00"
    nested = swap_v2 + swap_v3 + bytes(3)
    flash = b"\x03\x00" + b"\x01" + VAULT + b"\x01" + WETH + b"\x02\x01\x02" + b"\x00"
    assert encode_operations(operations) == b"\x01" + flash + len(nested).to_bytes(3, "big") + nested


def test_calls_carry_value_allowance_and_splices() -> None:
    data = b"\xaa\xbb\xcc\xdd" + bytes(64)
    earn = Call(TARGET, data, value_wei=7, measure=(Measure("native", NATIVE), Measure("usd", USD)))
    spend = CallWithAllowance(TARGET, data, USD, Measured("usd"), splices=(Splice(1, Measured("native")),))
    length = len(data).to_bytes(2, "big")
    assert encode_operations((earn, spend)) == b"".join(
        (
            b"\x01",
            b"\x01\x02" + NATIVE + USD + TARGET + b"\x01\x07" + length + data + b"\x00",
            b"\x02\x00" + TARGET + b"\x00" + USD + TARGET + b"\x81" + length + data + b"\x01\x01\x00",
        )
    )


def test_each_kind_of_lender_has_its_number() -> None:
    for kind in LenderKind:
        flash = Flash(VAULT, (Loan(WETH, 5, 1),), (), lender_kind=kind)
        loan = WETH + b"\x01\x05" + b"\x01\x01"
        assert encode_operations((flash,)) == b"\x01\x03\x00" + bytes(
            [kind]
        ) + VAULT + b"\x01" + loan + bytes(3)


def test_pairs_that_quote_themselves_are_named_by_kind_and_variant() -> None:
    stable = SwapQuoted(FACTORY, WETH, USD, 7, 6, stable=True)
    camelot = SwapQuoted(FACTORY, WETH, USD, 7, 6, FactoryKind.CAMELOT)
    rest = FACTORY + WETH + USD + b"\x01\x07\x01\x06" + bytes(3)
    assert encode_operations((stable,)) == b"\x01\x06\x00\x03\x01" + rest
    assert encode_operations((camelot,)) == b"\x01\x06\x00\x04\x00" + rest


def test_repayments_say_who_tells_the_debt_and_where_the_amount_goes() -> None:
    data = b"\xaa\xbb\xcc\xdd" + bytes(64)
    token = RepayDebt(TARGET, data, 1, USD, VAULT, 9)
    market = bytes(range(32))
    shares = RepayDebt(TARGET, data, 0, USD, TARGET, 9, 8, DebtKind.MORPHO_SHARES, market, spender=VAULT)
    tail = len(data).to_bytes(2, "big") + data
    assert encode_operations((token, shares)) == b"".join(
        (
            b"\x01",
            b"\x10\x00"
            + TARGET
            + USD
            + TARGET
            + b"\x01\x09"
            + b"\x01"
            + VAULT
            + b"\x01\x09"
            + b"\x01"
            + tail,
            b"\x10\x00" + TARGET + USD + VAULT + b"\x01\x08" + b"\x03" + TARGET + market,
            b"\x01\x09" + b"\x00" + tail,
        )
    )


def test_nested_measurements_are_numbered_before_those_of_the_operation_around_them() -> None:
    inner = SwapV2(FACTORY, USD, WETH, 1, measure=(Measure("inner", WETH),))
    outer = SwapV3(FACTORY, WETH, USD, 500, 1, operations=(inner,), measure=(Measure("outer", USD),))
    packed = encode_operations((outer, SwapV2(FACTORY, WETH, USD, Measured("inner"), Measured("outer"))))
    assert packed.endswith(WETH + USD + b"\x80\x81" + bytes(3))


def test_calldata_decodes_as_the_contract_declares_it() -> None:
    bounds = (
        TokenBound(WETH, "inflow", 9),
        TokenBound(USD, "outflow", 8),
        TokenBound(TARGET, "debt_increase", 7),
    )
    execution = Execution(
        b"\x01\x02\x03",
        bounds,
        deadline_s=1234,
        min_profit=55,
        accounting_token=WETH,
        checks=bytes(range(1, 34)),
    )
    calldata = execution.calldata(intent_id=2**255, plan_digest=DIGEST, max_fee_wei=77, max_gas_price_wei=88)

    assert calldata[:4] == EXECUTE_SELECTOR == keccak256(EXECUTE_SIGNATURE.encode())[:4]
    types = [
        "(uint256,bytes32,uint256,uint256,uint256,address,uint256)",
        "(uint8,address,uint256)[]",
        "bytes",
        "bytes",
    ]
    header, decoded_bounds, checks, operations = decode(types, calldata[4:])
    assert header == (2**255, DIGEST, 1234, 77, 55, "0x" + WETH.hex(), 88)
    assert [(kind, bytes.fromhex(token[2:]), amount) for kind, token, amount in decoded_bounds] == [
        (2, WETH, 9),
        (1, USD, 8),
        (3, TARGET, 7),
    ]
    assert checks == bytes(range(1, 34))
    assert operations == b"\x01\x02\x03"
    assert len(calldata) % 32 == 4


def test_a_position_plan_names_no_accounting_token_and_carries_its_checks() -> None:
    body = ExecutorBody(EXECUTOR, TARGET, encode_operations(()), (), 0, checks=b"\x09", position=True)
    plan = Plan("loop", 31337, TARGET, body, WETH, "key", deadline_s=99)
    execution = execution_of(plan, body)
    assert (execution.accounting_token, execution.checks) == (ZERO_ADDRESS, b"\x09")


def test_candidate_of_a_plan_differs_only_in_id_digest_and_fee() -> None:
    body = ExecutorBody(EXECUTOR, TARGET, encode_operations(()), (TokenBound(WETH, "inflow", 1),), 5)
    plan = Plan("arb", 31337, TARGET, body, WETH, "key", deadline_s=99)
    first = execution_calldata(plan, body, intent_id=1, plan_digest=DIGEST, max_total_fee_wei=2)
    second = execution_calldata(plan, body, intent_id=3, plan_digest=b"\xee" * 32, max_total_fee_wei=4)
    same = [(0, 4), (4 + 64, 4 + 96), (4 + 128, len(first))]
    assert all(first[a:b] == second[a:b] for a, b in same)
    assert first[4:36] != second[4:36]
    assert first[36:68] != second[36:68]
    assert first[100:132] != second[100:132]


@pytest.mark.parametrize(
    ("operations", "complaint"),
    [
        ((Call(TARGET, b"\x01\x02\x03"),), "no selector"),
        ((Call(Address(b"\x01"), bytes(4)),), "1 bytes instead of 20"),
        ((Call(TARGET, bytes(4), value_wei=-1),), "outside 0..2"),
        ((Call(TARGET, bytes(4), value_wei=2**256),), "outside 0..2"),
        ((Call(TARGET, bytes(36), splices=(Splice(1, Measured("x")),)),), "word 1 of 1"),
        ((Call(TARGET, bytes(70_000)),), "does not fit 2 byte"),
        ((SwapV2(FACTORY, WETH, USD, Measured("never")),), "'never' is used before"),
        ((Flash(VAULT, (), ()),), "order of address"),
        (
            (Flash(VAULT, (Loan(WETH, 1), Loan(USD, 1)), (), lender_kind=LenderKind.MORPHO_BLUE),),
            "MORPHO_BLUE lends 1",
        ),
        ((SwapQuoted(FACTORY, WETH, USD, 1, kind=FactoryKind.UNISWAP_V2),), "do not quote"),
        ((SwapQuoted(FACTORY, WETH, USD, 1, kind=FactoryKind.CAMELOT, stable=True),), "one pair"),
        ((RepayDebt(TARGET, bytes(36), 1, USD, VAULT, 1),), "word 1 of 1"),
        ((RepayDebt(TARGET, bytes(36), 0, USD, VAULT, 1, market=bytes(32)),), "market id of 32 bytes"),
        (
            (RepayDebt(TARGET, bytes(36), 0, USD, VAULT, 1, 1, DebtKind.MORPHO_SHARES),),
            "market id of 0 bytes",
        ),
        (
            (RepayDebt(TARGET, bytes(36), 0, USD, VAULT, 1, None, DebtKind.MORPHO_SHARES, bytes(32)),),
            "allowance must be given",
        ),
        ((Flash(VAULT, (Loan(USD, 1), Loan(WETH, 1)), ()),), "order of address"),
        ((SwapV2(FACTORY, USD, USD, 1),), "for itself"),
        ((SwapV2(FACTORY, NATIVE, USD, 1),), "wrap it"),
        ((SwapV3(FACTORY, WETH, USD, 2**24, 1),), "does not fit 3 byte"),
        ((SwapV3(FACTORY, WETH, USD, 500, 1, sqrt_price_limit_x96=2**160),), "160 bits"),
        ((Call(TARGET, bytes(4), measure=(Measure("x", USD), Measure("x", WETH))),), "taken twice"),
    ],
)
def test_impossible_operations_are_refused(operations: tuple[Call | SwapV2, ...], complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        encode_operations(operations)


def test_a_measurement_cannot_feed_the_operations_inside_its_own() -> None:
    inner = SwapV2(FACTORY, USD, WETH, Measured("outer"))
    outer = SwapV3(FACTORY, WETH, USD, 500, 1, operations=(inner,), measure=(Measure("outer", USD),))
    with pytest.raises(PlanError, match="used before"):
        encode_operations((outer,))


def test_more_measurements_than_the_contract_has_registers_are_refused() -> None:
    measures = tuple(Measure(str(i), USD) for i in range(65))
    with pytest.raises(PlanError, match="more than 64"):
        encode_operations((Call(TARGET, bytes(4), measure=measures),))


def test_nesting_deeper_than_the_contract_is_refused() -> None:
    operation = SwapV3(FACTORY, WETH, USD, 500, 1)
    for _ in range(7):
        operation = SwapV3(FACTORY, WETH, USD, 500, 1, operations=(operation,))
    encode_operations((operation,))
    with pytest.raises(PlanError, match="nested deeper"):
        encode_operations((SwapV3(FACTORY, WETH, USD, 500, 1, operations=(operation,)),))


def test_unknown_bound_and_short_digest_are_refused() -> None:
    with pytest.raises(PlanError, match="unknown bound kind"):
        Execution(b"\x01", (TokenBound(WETH, "sideways", 1),), 1, 0, WETH)
    with pytest.raises(PlanError, match="plan digest of 3 bytes"):
        Execution(b"\x01", (), 1, 0, WETH).calldata(intent_id=1, plan_digest=b"abc", max_fee_wei=0)
