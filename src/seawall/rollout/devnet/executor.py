"""Seawall's own executor and policy registry on the devnet."""

from __future__ import annotations

from seawall.rollout.devnet.deployer import Deployer

__all__ = ["artifact_files", "deploy_executor"]


def artifact_files() -> dict[str, bytes]:
    return {}


def deploy_executor(deployer: Deployer) -> None:
    del deployer
