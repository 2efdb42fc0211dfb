"""Where the demo finds its kernel: by what that says, and not by a port that was free a while ago."""

from __future__ import annotations

from seawall.rollout.demo.stage import health_port

STARTED = b'{"health_port":40123,"authority":"RUN","event":"started","logger":"seawall.runtime.kernel"}\n'


def test_port_is_the_one_that_the_kernel_says_it_listens_on() -> None:
    assert health_port(b"a library's line\n{}\n[1]\n" + STARTED) == 40_123


def test_no_port_is_known_before_the_kernel_has_said_it_wholly() -> None:
    assert health_port(b"") is None
    assert health_port(STARTED[:-30]) is None
    assert health_port(b'{"event":"started","logger":"something.else"}\n') is None
