// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

/// @title A set that can be read back whole, so that anyone can compare a policy with what it should be.
/// @dev The order is not kept.
library KeyedList {
    /// @param positions from 1
    struct List {
        uint256[] items;
        mapping(uint256 item => uint256) positions;
    }

    function has(List storage list, uint256 item) internal view returns (bool) {
        return list.positions[item] != 0;
    }

    /// @return added false where it was there already
    function add(List storage list, uint256 item) internal returns (bool added) {
        if (has(list, item)) return false;
        list.items.push(item);
        list.positions[item] = list.items.length;
        return true;
    }

    /// @return removed false where it was not there
    function remove(List storage list, uint256 item) internal returns (bool removed) {
        uint256 position = list.positions[item];
        if (position == 0) return false;
        uint256 last = list.items[list.items.length - 1];
        list.items[position - 1] = last;
        list.positions[last] = position;
        list.items.pop();
        list.positions[item] = 0;
        return true;
    }
}
