"""Shapes of signatures, as the policy registry sees them too (contracts/test/Registry.t.sol)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.primitives.errors import InputError
from seawall.protocols.executor.signatures import Part, shape_of

W, B, A, T, C = Part.WORD, Part.BYTES, Part.ARRAY, Part.TUPLE, Part.CLOSE


@pytest.mark.parametrize(
    ("signature", "shape"),
    [
        ("deposit()", ()),
        ("f(uint256,address,bytes32,int24,bool)", (W,) * 5),
        ("f((address,uint256)[2],bool)", (W,) * 5),
        ("f(uint8[2][3])", (W,) * 6),
        ("f(bytes,string)", (B, B)),
        ("f((uint256,address)[],bytes)", (A, W, W, C, B)),
        ("f(uint256[2][])", (A, W, W, C)),
        ("f((bytes,address,(uint256,uint256[])))", (T, B, W, T, W, A, W, C, C, C)),
        ("f((uint256,(uint256,bool)))", (W, W, W)),
        ("f(uint256[32],uint256[32])", (W,) * 64),
    ],
)
def test_shapes_are_words_and_dynamic_parts_in_order(signature: str, shape: tuple[Part, ...]) -> None:
    assert shape_of(signature) == shape


@pytest.mark.parametrize(
    ("signature", "complaint"),
    [
        ("", "no name"),
        ("(uint256)", "no name"),
        ("f", "'\\(' is expected"),
        ("f(uint256", "'\\)' is expected"),
        ("f(uint256,)", "no type at character 10"),
        ("f(())", "no type at character 3"),
        ("f(bool)b)", "left over"),
        ("f(uint256 )", "'\\)' is expected"),
        ("f(uint256[0])", "'\\)' is expected"),
        ("f(uint)", "`uint256`, not `uint`"),
        ("f(uint0256)", "no type of the ABI"),
        ("f(uint7)", "no type of the ABI"),
        ("f(bytes33)", "no type of the ABI"),
        ("f(bytes0)", "no type of the ABI"),
        ("f(string1)", "no type of the ABI"),
        ("f(bytes[])", "vary in size"),
        ("f(uint256[][2])", "vary in size"),
        ("f((uint256,bytes)[])", "vary in size"),
        ("f(uint256[33])", "more than 32"),
        ("f(uint256[32],uint256[32],bool)", "65 parts"),
    ],
)
def test_what_the_registry_refuses_is_refused(signature: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        shape_of(signature)


@given(st.text(alphabet="f(),[]0123uintbyesadrol ", max_size=40))
def test_any_text_gives_a_shape_or_a_refusal(text: str) -> None:
    try:
        shape = shape_of(text)
    except InputError:
        return
    opened = sum(part in (Part.ARRAY, Part.TUPLE) for part in shape)
    assert opened == sum(part is Part.CLOSE for part in shape)
