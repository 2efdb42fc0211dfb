// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// Counts how often each id was executed, so that whoever judges a run need not believe those who sent.
contract Recorder {
    event Recorded(bytes32 indexed id) anonymous;

    mapping(bytes32 id => uint256 times) public executions;

    function record(bytes32 id) public {
        executions[id] += 1;
        emit Recorded(id);
    }

    /// Goes well in a simulation and may still revert on chain: the block decides.
    function recordUnless(bytes32 id, uint256 modulus) external {
        require(block.number % modulus != 0, "not in this block");
        record(id);
    }

    function doom(bytes32 id) external {
        record(id);
        revert("doomed");
    }
}
