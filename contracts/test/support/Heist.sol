// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {ITransferHook, TestToken} from "./TestToken.sol";

/// @dev Lends against nothing, takes what it is allowed, pays out receipts to whom it is told: a policy at its most
///      careless, so that the caps alone stand between the holder of a stolen key and the capital.
contract Fence {
    TestToken public immutable usd;
    TestToken public immutable debt = new TestToken("DEBT");
    TestToken public immutable receipt = new TestToken("RECEIPT");

    constructor(TestToken usd_) {
        usd = usd_;
    }

    function take(address token, uint256 amount) external {
        (bool ok,) = token.call(
            abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, this, amount)
        );
        require(ok, "not paid");
    }

    function borrow(uint256 amount) external {
        debt.mint(msg.sender, amount);
        usd.mint(msg.sender, amount);
    }

    function repay(uint256 amount) external {
        usd.burn(msg.sender, amount);
        debt.burn(msg.sender, amount);
    }

    function supply(address to, uint256 amount) external {
        receipt.mint(to, amount);
    }

    /// @dev Native coin for nothing.
    function keep() external payable {}

    function withdraw(address to, uint256 amount) external {
        receipt.burn(msg.sender, amount);
        usd.mint(to, amount);
    }
}

/// @dev A token that calls into the executor at every transfer, with an operator's role of its own: the stolen key
///      may be code. It counts how often it was let in.
contract Trojan is ITransferHook {
    bytes[] private _attempts;
    address private _target;
    uint256 public letIn;

    function arm(address target, bytes[] calldata attempts) external {
        _target = target;
        delete _attempts;
        for (uint256 i = 0; i < attempts.length; ++i) {
            _attempts.push(attempts[i]);
        }
    }

    function onTransfer(address, address, uint256) external {
        for (uint256 i = 0; i < _attempts.length; ++i) {
            (bool ok,) = _target.call(_attempts[i]);
            if (ok) ++letIn;
        }
    }
}

/// @dev Lends as Balancer does, and names whatever fee it likes.
contract GreedyLender {
    uint256 public fee;

    function setFee(uint256 fee_) external {
        fee = fee_;
    }

    function flashLoan(address to, address[] calldata tokens, uint256[] calldata amounts, bytes calldata data)
        external
    {
        TestToken(tokens[0]).mint(to, amounts[0]);
        uint256[] memory fees = new uint256[](1);
        fees[0] = fee;
        (bool ok, bytes memory answer) = to.call(
            abi.encodeWithSignature(
                "receiveFlashLoan(address[],uint256[],uint256[],bytes)", tokens, amounts, fees, data
            )
        );
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }
}
