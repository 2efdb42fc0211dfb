// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {RiskBook} from "../../src/RiskBook.sol";

contract UnitToken {
    uint8 public constant decimals = 0;
}

/// @dev One token is worth 1e-8 USD, so that amounts and values are the same number and the solver need not divide.
contract UnitFeed {
    uint8 public constant decimals = 8;

    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return (1, 1, block.timestamp, block.timestamp, 1);
    }
}

/// @dev The leaky buckets, for any amounts, any capacity and any time between.
contract CapsSymbolicTest is Test {
    address private constant OWNER = address(0x1001);
    address private constant EXECUTOR = address(0x1002);
    uint128 private constant REFILL_PER_S = 8;

    RiskBook private book;
    address private token;
    address private feed;

    function setUp() public {
        vm.warp(1_800_000_000);
        book = new RiskBook(OWNER);
        token = address(new UnitToken());
        feed = address(new UnitFeed());
        _lossLimit(type(uint128).max, type(uint128).max, 0);
    }

    // ---------------------------------------------------------------- caps per token

    function check_room_is_never_above_capacity_and_falls_by_what_left(uint128 capacity, uint128 amount)
        public
    {
        _tokenLimit(capacity, REFILL_PER_S);
        uint256 before = book.tokenRoom(EXECUTOR, token);
        assert(before == capacity);
        bool ok = _fall(amount);
        assert(ok == (amount <= capacity));
        assert(book.tokenRoom(EXECUTOR, token) == (ok ? capacity - amount : capacity));
    }

    function check_two_falls_take_no_more_than_capacity_and_refill(
        uint128 capacity,
        uint128 first,
        uint128 second,
        uint32 waitS
    ) public {
        _tokenLimit(capacity, REFILL_PER_S);
        vm.assume(first != 0 && second != 0);
        if (!_fall(first)) return;
        vm.warp(block.timestamp + waitS);
        if (!_fall(second)) return;
        assert(uint256(first) + second <= uint256(capacity) + uint256(waitS) * REFILL_PER_S);
    }

    function check_room_only_comes_back_with_time(
        uint128 capacity,
        uint128 amount,
        uint32 waitS,
        uint32 longerS
    ) public {
        _tokenLimit(capacity, REFILL_PER_S);
        if (!_fall(amount)) return;
        vm.warp(block.timestamp + waitS);
        uint256 sooner = book.tokenRoom(EXECUTOR, token);
        vm.warp(block.timestamp + longerS);
        uint256 later = book.tokenRoom(EXECUTOR, token);
        assert(sooner <= later && later <= capacity);
    }

    /// @dev A cap lowered below what is used leaves no room, and no number wraps.
    function check_a_lowered_cap_leaves_no_room(
        uint128 capacity,
        uint128 amount,
        uint128 lowered,
        uint128 next
    ) public {
        _tokenLimit(capacity, REFILL_PER_S);
        if (!_fall(amount)) return;
        vm.assume(lowered <= amount && next != 0);
        _tokenLimit(lowered, REFILL_PER_S);
        assert(book.tokenRoom(EXECUTOR, token) == 0);
        assert(!_fall(next));
    }

    /// @dev A fall that cannot be priced is refused, whatever its size.
    function check_without_a_feed_nothing_falls(uint128 amount) public {
        vm.assume(amount != 0);
        assert(!_fall(amount));
    }

    // ------------------------------------------------------------------ losses by value

    function check_no_loss_above_the_limits(
        uint128 perExecution,
        uint128 capacity,
        uint128 first,
        uint128 second,
        uint32 waitS
    ) public {
        _tokenLimit(type(uint128).max, type(uint128).max);
        _lossLimit(perExecution, capacity, REFILL_PER_S);
        vm.assume(first != 0 && second != 0);
        if (!_fall(first)) return;
        assert(first <= perExecution && first <= capacity);
        vm.warp(block.timestamp + waitS);
        if (!_fall(second)) return;
        assert(second <= perExecution);
        assert(uint256(first) + second <= uint256(capacity) + uint256(waitS) * REFILL_PER_S);
    }

    /// @dev A gain without a feed counts for nothing against a loss.
    function check_gains_without_a_feed_pay_for_nothing(uint128 loss, uint128 gain) public {
        _tokenLimit(type(uint128).max, 0);
        _lossLimit(100, 100, 0);
        (uint256[] memory t, uint256[] memory b, uint256[] memory a) =
            (new uint256[](2), new uint256[](2), new uint256[](2));
        (t[0], b[0]) = (uint256(1) << 160 | uint160(token), loss);
        (t[1], a[1]) = (uint256(1) << 160 | uint160(address(0xdead)), gain);
        vm.prank(EXECUTOR);
        (bool ok,) = address(book).call(abi.encodeCall(RiskBook.charge, (t, b, a)));
        assert(ok == (loss <= 100));
    }

    // -------------------------------------------------------------------- internal

    function _fall(uint256 amount) private returns (bool ok) {
        (uint256[] memory t, uint256[] memory b, uint256[] memory a) =
            (new uint256[](1), new uint256[](1), new uint256[](1));
        (t[0], b[0]) = (uint256(1) << 160 | uint160(token), amount);
        vm.prank(EXECUTOR);
        (ok,) = address(book).call(abi.encodeCall(RiskBook.charge, (t, b, a)));
    }

    function _tokenLimit(uint128 capacity, uint128 refillPerS) private {
        vm.prank(OWNER);
        book.setTokenLimit(EXECUTOR, token, RiskBook.TokenLimit(feed, 1 hours, 0, capacity, refillPerS));
    }

    function _lossLimit(uint128 perExecution, uint128 capacity, uint128 refillPerS) private {
        vm.prank(OWNER);
        book.setLossLimit(EXECUTOR, RiskBook.LossLimit(perExecution, capacity, refillPerS));
    }
}
