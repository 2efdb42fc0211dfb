"""A secret shows itself to whoever asks it, and to nobody else."""

from __future__ import annotations

import copy
import pickle

import pytest

from seawall.primitives.secrets import Secret


def test_a_secret_shows_in_no_text_made_of_it() -> None:
    secret = Secret("open sesame")
    texts = [repr(secret), str(secret), f"{secret}", f"{[secret]}", f"{secret!r}"]
    assert not any("sesame" in text for text in texts)
    assert secret.reveal() == "open sesame"


@pytest.mark.parametrize("leave", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_secret_is_not_carried_out_of_the_process(leave: object) -> None:
    assert callable(leave)
    with pytest.raises(TypeError, match="does not leave"):
        leave(Secret("open sesame"))
