"""Endpoints in the configuration: the short form, the long one, and every refusal with its key."""

from __future__ import annotations

import tomllib

import pytest

from seawall.chain.endpoints import Endpoint
from seawall.chain.pool.settings import UNITS, UNITS_OF_OTHERS, EndpointSettings, Use
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import ZERO_ADDRESS
from seawall.runtime.configuration.endpoints import read_endpoints
from seawall.runtime.configuration.loading import render_template
from seawall.runtime.configuration.tables import Table

KEYS = ("rpc", "send", "endpoints")
ONE, TWO = "https://one.example/v2/secretkey", "https://two.example/"


def read(**content: object) -> tuple[EndpointSettings, ...]:
    return read_endpoints(Table(content, "chains[0]", KEYS), lambda text, where: Endpoint.parse(text))


def refusal(**content: object) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read(**content)
    assert "secretkey" not in str(caught.value)
    assert caught.value.fix
    return caught.value


def test_list_of_readers_is_written_to_as_well_where_nobody_lists_senders() -> None:
    assert [(each.endpoint.url, each.use) for each in read(rpc=[ONE, TWO])] == [
        (ONE, Use.BOTH),
        (TWO, Use.BOTH),
    ]


def test_lists_of_readers_and_senders_overlap_where_they_name_the_same() -> None:
    assert [(each.endpoint.url, each.use) for each in read(rpc=[ONE], send=[TWO])] == [
        (ONE, Use.READ),
        (TWO, Use.SEND),
    ]
    assert [each.use for each in read(rpc=[ONE, TWO], send=[TWO])] == [Use.READ, Use.BOTH]


def test_table_says_use_budgets_weight_and_prices() -> None:
    first, second = read(
        endpoints=[
            {
                "url": ONE,
                "use": "read",
                "requests_per_s": 50,
                "units_per_s": 330,
                "weight": 3,
                "units": {"eth_call": 7},
            },
            {"url": TWO},
        ]
    )
    assert (first.use, first.requests_per_s, first.units_per_s, first.weight) == (Use.READ, 50, 330, 3)
    assert first.units_of("eth_call") == 7
    assert second.units_of("eth_call") == UNITS["eth_call"]
    assert second.units_of("erigon_forks") == UNITS_OF_OTHERS
    assert (second.use, second.requests_per_s, second.units_per_s, second.weight) == (Use.BOTH, 0, 0, 1)


@pytest.mark.parametrize(
    ("endpoint", "where", "what"),
    [
        ({}, "url", "required"),
        ({"url": ONE, "use": "write"}, "use", "'write' is not one of the choices"),
        ({"url": ONE, "requests_per_s": -1}, "requests_per_s", "-1 is out of range"),
        ({"url": ONE, "requests_per_s": "50"}, "requests_per_s", "not a whole number"),
        ({"url": ONE, "units_per_s": 1.5}, "units_per_s", "1.5 is not a whole number"),
        ({"url": ONE, "weight": 0}, "weight", "0 is out of range"),
        ({"url": ONE, "wieght": 1}, "wieght", "not known"),
        ({"url": ONE, "units": {"eth_call": -1}}, "units.eth_call", "-1 is out of range"),
        ({"url": ONE, "units": {"eth call": 1}}, "units.eth call", "not a method"),
        ({"url": ONE, "units": 5}, "units", "5 is not a table"),
    ],
)
def test_value_that_cannot_be_is_refused_with_its_key(
    endpoint: dict[str, object], where: str, what: str
) -> None:
    error = refusal(endpoints=[endpoint])
    assert error.where == f"chains[0].endpoints[0].{where}"
    assert what in error.what


@pytest.mark.parametrize(
    ("content", "where", "what"),
    [
        ({}, "chains[0].rpc", "required"),
        ({"rpc": [ONE, TWO, ONE]}, "chains[0].rpc[2]", "twice"),
        ({"endpoints": [{"url": ONE}, {"url": ONE}]}, "chains[0].endpoints[1]", "twice"),
        ({"endpoints": [{"url": ONE}], "rpc": [TWO]}, "chains[0].rpc", "both here and in"),
        ({"endpoints": [{"url": ONE}], "send": [TWO]}, "chains[0].send", "both here and in"),
        ({"endpoints": [{"url": ONE, "use": "send"}]}, "chains[0].endpoints", "no endpoint is used to read"),
        ({"endpoints": [{"url": ONE, "use": "read"}]}, "chains[0].endpoints", "no endpoint is used to send"),
        ({"endpoints": []}, "chains[0].endpoints", "no endpoint is used to read"),
        ({"rpc": [f"{TWO}{n}" for n in range(33)]}, "chains[0].rpc", "33 endpoints"),
    ],
)
def test_group_that_cannot_work_is_refused_with_its_key(
    content: dict[str, object], where: str, what: str
) -> None:
    error = refusal(**content)
    assert error.where == where
    assert what in error.what


def test_long_form_in_the_template_is_true_to_the_last_key() -> None:
    lines = [line[4:] for line in render_template(ZERO_ADDRESS).splitlines() if line.startswith("#   ")]
    own = tomllib.loads("[[chains]]\n" + "\n".join(lines[: lines.index("") if "" in lines else None]))
    (chain,) = own["chains"]
    (endpoint,) = chain["endpoints"]
    assert set(endpoint) == {"url", "use", "requests_per_s", "units_per_s", "weight", "units"}
    (found,) = read(endpoints=[endpoint])
    assert found.use is Use.BOTH
