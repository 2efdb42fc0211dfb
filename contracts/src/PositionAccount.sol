// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {AtomicExecutor} from "./AtomicExecutor.sol";
import {IPlanChecks} from "./IPlanChecks.sol";
import {IPolicyRegistry} from "./IPolicyRegistry.sol";
import {IRiskBook} from "./IRiskBook.sol";

/// @title An executor that holds capital and positions of its own: one deal, one account, one operator key.
/// @notice The same code as AtomicExecutor. What differs is that its roles are set when it is made, so that its
///         owner need not be the one who makes it, and holds it from the first block.
contract PositionAccount is AtomicExecutor {
    /// @param surroundings registry, risk book, plan checks and WETH
    struct Surroundings {
        IPolicyRegistry registry;
        IRiskBook riskBook;
        IPlanChecks planChecks;
        address weth;
    }

    /// @param guardian, pauser zero: none yet; the owner may name them later
    struct People {
        address owner;
        address beneficiary;
        address operator;
        address guardian;
        address pauser;
    }

    /// @dev Until the owner says otherwise: 5 % from the edge of liquidation [1e18].
    uint64 private constant FIRST_HEALTH_FLOOR = 1.05e18;

    constructor(Surroundings memory around, People memory people)
        AtomicExecutor(
            people.owner, around.registry, around.riskBook, around.planChecks, around.weth, people.beneficiary
        )
    {
        if (people.operator == address(0)) revert ZeroAddress();
        _setHealthFloor(FIRST_HEALTH_FLOOR);
        // One key may have several roles: an operator that is also the pauser is the owner's choice.
        _setRole(people.operator, ROLE_OPERATOR, true);
        if (people.guardian != address(0)) _setRole(people.guardian, ROLE_GUARDIAN, true);
        if (people.pauser != address(0)) _setRole(people.pauser, ROLE_PAUSER, true);
    }
}
