// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {IERC20} from "../../src/Tokens.sol";

/// @dev A listed target that does what a test tells it to.
contract Target {
    error Refused(uint256 why);

    event Seen(uint256 a, uint256 b, uint256 value, uint256 allowed);

    receive() external payable {}

    function note(uint256 a, uint256 b) external payable {
        emit Seen(a, b, msg.value, 0);
    }

    function pull(address token, uint256 amount, uint256 leave) external {
        uint256 allowed = IERC20(token).allowance(msg.sender, address(this));
        emit Seen(amount, leave, 0, allowed);
        (bool ok,) = token.call(
            abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, this, amount - leave)
        );
        require(ok, "pull failed");
    }

    function give(address token, uint256 amount) external {
        IERC20(token).transfer(msg.sender, amount);
    }

    function giveNative(uint256 amount) external {
        (bool ok,) = msg.sender.call{value: amount}("");
        require(ok, "not accepted");
    }

    function refuse(uint256 why) external pure {
        revert Refused(why);
    }
}

/// @dev Calls whatever it is told to, and hands up what it answers.
contract Caller {
    function make(address target, bytes calldata data) external {
        (bool ok, bytes memory answer) = target.call(data);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
