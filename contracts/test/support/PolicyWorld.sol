// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {IParser} from "../../src/IParser.sol";
import {PolicyRegistry} from "../../src/PolicyRegistry.sol";
import {TimeLocked} from "../../src/TimeLocked.sol";
import {Target} from "./Targets.sol";
import {TestToken} from "./TestToken.sol";

/// @dev A registry and an executor that is no more than an address: what the policy says, and nothing else.
abstract contract PolicyWorld is Test {
    PolicyRegistry internal registry;
    Target internal target;
    TestToken internal usd;
    TestToken internal weth;
    address internal owner = makeAddr("owner");
    address internal executor = makeAddr("executor");
    address internal stranger = makeAddr("stranger");

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        registry = new PolicyRegistry(owner);
        target = new Target();
        usd = new TestToken("USD");
        weth = new TestToken("WETH");
    }

    // -------------------------------------------------------------------- writing

    function _rule(uint8 kind, uint256 operand) internal pure returns (PolicyRegistry.Rule memory) {
        return PolicyRegistry.Rule(kind, operand);
    }

    function _rules(uint256 count, uint8 kind, uint256 operand)
        internal
        pure
        returns (PolicyRegistry.Rule[] memory rules)
    {
        rules = new PolicyRegistry.Rule[](count);
        for (uint256 i = 0; i < count; ++i) {
            rules[i] = _rule(kind, operand);
        }
    }

    /// @dev From kinds and operands, side by side.
    function _rules(uint256[] memory pairs) internal pure returns (PolicyRegistry.Rule[] memory rules) {
        rules = new PolicyRegistry.Rule[](pairs.length / 2);
        for (uint256 i = 0; i < rules.length; ++i) {
            rules[i] = _rule(uint8(pairs[2 * i]), pairs[2 * i + 1]);
        }
    }

    function _entry(PolicyRegistry.Rule[] memory rules) internal pure returns (PolicyRegistry.Entry memory) {
        return PolicyRegistry.Entry(2, false, 0, address(0), rules);
    }

    function _list(string memory signature, PolicyRegistry.Rule[] memory rules) internal {
        vm.prank(owner);
        registry.list(executor, address(target), signature, _entry(rules));
    }

    function _listRefused(string memory signature, PolicyRegistry.Rule[] memory rules, bytes memory reason)
        internal
    {
        vm.expectRevert(reason);
        _list(signature, rules);
    }

    function _unlist(string memory signature) internal {
        vm.prank(owner);
        registry.unlist(executor, address(target), bytes4(keccak256(bytes(signature))));
    }

    function _listNote(uint8 kind, uint256 operand) internal {
        _list("note(uint256,uint256)", _rules(2, kind, operand));
    }

    function _members(uint256 set, uint256 member, bool included) internal {
        uint256[] memory members = new uint256[](1);
        members[0] = member;
        vm.prank(owner);
        registry.setMembers(executor, set, members, included);
    }

    function _seal() internal {
        vm.prank(owner);
        registry.seal(executor);
    }

    function _tokenCall(address token, uint8 class, bool allowance) internal view returns (bytes memory) {
        return abi.encodeCall(PolicyRegistry.setToken, (executor, token, class, allowance));
    }

    function _factoryCall(address factory, uint8 kind, uint24 feePpm, bool reduce)
        internal
        view
        returns (bytes memory)
    {
        return abi.encodeCall(
            PolicyRegistry.setFactory,
            (executor, factory, kind, keccak256(type(TestPool).creationCode), feePpm, reduce)
        );
    }

    function _one(uint256 value) internal pure returns (uint256[] memory list) {
        list = new uint256[](1);
        list[0] = value;
    }

    // --------------------------------------------------------- proposing, and calling raw

    function _propose(bytes memory call) internal {
        bytes[] memory calls = new bytes[](1);
        calls[0] = call;
        vm.prank(owner);
        registry.propose(calls);
    }

    function _write(bytes memory call) internal {
        vm.prank(owner);
        (bool ok, bytes memory answer) = address(registry).call(call);
        if (!ok) {
            assembly ("memory-safe") {
                revert(add(answer, 32), mload(answer))
            }
        }
    }

    function _writeRefused(bytes memory call, bytes memory reason) internal {
        vm.prank(owner);
        (bool ok, bytes memory answer) = address(registry).call(call);
        assertFalse(ok);
        assertEq(answer, reason);
    }

    /// @dev It waits: refused now, admitted once it was proposed and the delay is over.
    function _loosens(bytes memory call) internal {
        _writeRefused(call, abi.encodeWithSelector(TimeLocked.NotProposed.selector, keccak256(call)));
        _propose(call);
        uint256 ready = block.timestamp + registry.LOOSENING_DELAY_S();
        vm.warp(ready - 1);
        _writeRefused(call, abi.encodeWithSelector(TimeLocked.TooEarly.selector, ready));
        vm.warp(ready);
        _write(call);
    }

    // --------------------------------------------------------------------- asking

    function _admitted(bytes memory data, uint256 spliced) internal returns (bool) {
        vm.prank(executor);
        try registry.checkCall(address(target), 0, data, spliced, false) {
            return true;
        } catch {
            return false;
        }
    }

    function _refused(bytes memory data, uint256 spliced, bytes memory reason) internal {
        vm.expectRevert(reason);
        vm.prank(executor);
        registry.checkCall(address(target), 0, data, spliced, false);
    }
}

/// @dev Creates pools as factories do: CREATE2, under whatever salt.
contract PoolFactory {
    function create(bytes32 salt) external returns (address) {
        return address(new TestPool{salt: salt}());
    }
}

contract TestPool {}

/// @dev Any bytes as one word; with `set`, as many words as it is told.
contract TestParser is IParser {
    uint256 public elementWords = 1;
    uint256 private _answered = 1;

    function set(uint256 elementWords_, uint256 answered) external {
        (elementWords, _answered) = (elementWords_, answered);
    }

    function parse(bytes calldata data) external view returns (uint256[] memory words) {
        words = new uint256[](_answered);
        if (_answered != 0) words[0] = data.length;
    }
}
