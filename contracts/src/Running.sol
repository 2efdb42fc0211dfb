// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IPolicyRegistry} from "./IPolicyRegistry.sol";
import {StreamLib} from "./Stream.sol";

/// @title What loans, swaps and calls share: the policy that they ask, and the way to run what is nested in them.
abstract contract Running {
    error RepaymentAboveMaximum(address token, uint256 wanted, uint256 maximum);
    /// @notice A true callee calls us back about something that somebody else began.
    error NotOurs(address initiator);

    IPolicyRegistry public immutable registry;

    constructor(IPolicyRegistry registry_) {
        registry = registry_;
    }

    function _run(StreamLib.Stream memory stream) internal virtual;
}
