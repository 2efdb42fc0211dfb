"""A policy written in the words of a deployment file is read back as the same policy."""

from __future__ import annotations

from dataclasses import replace

from seawall.native import keccak256
from seawall.primitives.units import Address
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    LenderKind,
    LenderPolicy,
    Listing,
    MemberSet,
    Policy,
    TokenClass,
    TokenPolicy,
    anything,
    at_most,
    content,
    equal_to,
    in_set,
    ourselves,
    parsed_by,
    up_to,
)
from seawall.rollout.deployment.files import read_wish
from seawall.rollout.deployment.rendering import policy_text
from tests.unit.rollout.test_deployment_files import BOOK, FILE, INIT_CODE_HASH, Desk, desk

__all__ = ["desk"]

WETH, MARKET, DESK = (BOOK[name][0] for name in ("weth", "market", "desk"))
STRANGER = Address(b"\x77" * 20)
LARGE_SET = 2**200 + 5
POLICY = Policy(
    STRANGER,
    listings=(
        Listing(
            DESK,
            "trade(uint256,address,address,uint256[],bytes)",
            (at_most(5), ourselves(), in_set(LARGE_SET), up_to(3), anything(), content(b"\xbe\xef")),
            reduce=True,
            max_native_wei=10**18 + 1,
            spender=STRANGER,
        ),
        Listing(
            DESK,
            "pass(bytes,uint256,address)",
            (*parsed_by(MARKET, 64, equal_to(WETH), in_set(LARGE_SET)), equal_to(4), equal_to(STRANGER)),
        ),
        Listing(WETH, "deposit()"),
    ),
    tokens=(
        TokenPolicy(WETH, TokenClass.KEPT, allowance=True),
        TokenPolicy(MARKET, TokenClass.DEBT),
        TokenPolicy(STRANGER),
    ),
    lenders=(LenderPolicy(MARKET, LenderKind.MORPHO_BLUE),),
    factories=(FactoryPolicy(DESK, FactoryKind.UNISWAP_V2, keccak256(b"code"), 3_000, reduce=True),),
    sets=(MemberSet(LARGE_SET, (int.from_bytes(WETH), 12, 0)),),
)


def test_every_kind_of_entry_is_read_back(desk: Desk) -> None:
    path = desk.folder / "rendered.toml"
    roles = FILE.format(hash=INIT_CODE_HASH, market="").partition("[[tokens]]")[0]
    losses = '[losses]\nper_execution = "1"\ncapacity = "1"\nrefill_per_hour = "1"\n'
    path.write_text(roles + policy_text(POLICY, desk.configuration.chains[0].book) + "\n" + losses)
    wish = read_wish(path, desk.configuration)
    numbered = (MemberSet(1, POLICY.sets[0].members),)
    for found, wanted in zip(wish.listings, POLICY.listings, strict=True):
        rules = tuple(in_set(1) if rule == in_set(LARGE_SET) else rule for rule in wanted.rules)
        assert found == replace(wanted, rules=rules)
        assert [rule.words for rule in found.rules] == [rule.words for rule in wanted.rules]
    assert (wish.tokens, wish.lenders, wish.factories) == (POLICY.tokens, POLICY.lenders, POLICY.factories)
    assert wish.sets == numbered


def test_what_the_book_knows_stands_by_its_name(desk: Desk) -> None:
    text = policy_text(POLICY, desk.configuration.chains[0].book)
    assert 'token = "@weth"' in text
    assert '"parsed by @market within 64: = @weth, in 1"' in text
    assert 'max_native = "1.000000000000000001"' in text
