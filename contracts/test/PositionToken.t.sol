// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {Test} from "forge-std/Test.sol";

import {TOKEN_DEBT, TOKEN_KEPT} from "../src/IPolicyRegistry.sol";
import {PositionToken} from "../src/PositionToken.sol";
import {RiskBook} from "../src/RiskBook.sol";
import {CometStub, DecimalToken, MorphoStub, TestFeed} from "./support/Lending.sol";

contract PositionTokenTest is Test {
    bytes32 private constant MARKET = keccak256("market");

    MorphoStub private morpho;
    CometStub private comet;
    DecimalToken private dollar;
    DecimalToken private ether_;
    address private holder = makeAddr("holder");

    function setUp() public {
        vm.warp(1_800_000_000);
        morpho = new MorphoStub();
        comet = new CometStub();
        dollar = new DecimalToken(6);
        ether_ = new DecimalToken(18);
        morpho.setParams(0.8e18, 2_000e24, 0.0001e18, true);
        morpho.setTokens(address(dollar), address(ether_));
        morpho.setMarket(1_000e6, 1_000e12, uint128(block.timestamp));
        comet.setBase(address(dollar));
    }

    function test_morphos_positions_are_counted_in_their_tokens() public {
        PositionToken collateral = _morpho(1, address(ether_));
        PositionToken debt = _morpho(2, address(dollar));
        PositionToken supply = _morpho(3, address(dollar));
        assertEq(collateral.decimals(), 18);
        assertEq(debt.decimals(), 6);
        assertEq(debt.balanceOf(holder), 0);
        morpho.setPosition(holder, 500e12, 3 ether);
        morpho.setSupply(holder, 250e12);
        assertEq(collateral.balanceOf(holder), 3 ether);
        // Virtual shares and assets: debts round up, supplies down.
        assertEq(debt.balanceOf(holder), 500e6);
        assertEq(supply.balanceOf(holder), 250e6);
        morpho.setMarket(1_000e6, 1_000e12 + 1, uint128(block.timestamp));
        assertEq(supply.balanceOf(holder), 250e6 - 1);
        morpho.setMarket(1_000e6, 1_000e12 - 1, uint128(block.timestamp));
        assertEq(debt.balanceOf(holder), 500e6 + 1);
        vm.warp(block.timestamp + 1_000);
        // e^0.1 - 1 by three terms.
        assertApproxEqAbs(debt.balanceOf(holder), 552_583_333, 2);
        assertEq(collateral.balanceOf(makeAddr("other")), 0);
    }

    function test_comets_positions_are_counted_in_their_tokens() public {
        PositionToken collateral = new PositionToken(4, address(comet), 0, address(ether_));
        PositionToken debt = new PositionToken(5, address(comet), 0, address(dollar));
        comet.setHeld(holder, address(ether_), 2 ether);
        comet.setDebt(holder, 70e6);
        assertEq(collateral.balanceOf(holder), 2 ether);
        assertEq(debt.balanceOf(holder), 70e6);
    }

    function test_another_kind_or_asset_than_the_lenders_is_refused() public {
        uint8[2] memory kinds = [0, 6];
        for (uint256 i = 0; i < kinds.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(PositionToken.UnknownKind.selector, kinds[i]));
            new PositionToken(kinds[i], address(comet), 0, address(dollar));
        }
        address[3] memory wrong = [address(dollar), address(ether_), address(ether_)];
        for (uint8 kind = 1; kind <= 3; ++kind) {
            address right = kind == 1 ? address(ether_) : address(dollar);
            vm.expectRevert(
                abi.encodeWithSelector(PositionToken.AssetDiffers.selector, wrong[kind - 1], right)
            );
            _morpho(kind, wrong[kind - 1]);
        }
        vm.expectRevert(
            abi.encodeWithSelector(PositionToken.AssetDiffers.selector, address(ether_), address(dollar))
        );
        new PositionToken(5, address(comet), 0, address(ether_));
    }

    /// @dev The attack: collateral is withdrawn and lost within one plan, or a debt drawn and lost. No token of the
    ///      executor falls; the position does, and is charged.
    function test_a_position_lost_between_two_looks_is_charged() public {
        address owner = makeAddr("owner");
        RiskBook book = new RiskBook(owner);
        PositionToken collateral = _morpho(1, address(ether_));
        PositionToken debt = _morpho(2, address(dollar));
        address etherFeed = address(new TestFeed(2_000e8));
        address dollarFeed = address(new TestFeed(1e8));
        vm.startPrank(owner);
        book.setTokenLimit(
            holder, address(collateral), RiskBook.TokenLimit(etherFeed, 1 hours, 18, 1 ether, 0)
        );
        book.setTokenLimit(holder, address(debt), RiskBook.TokenLimit(dollarFeed, 1 hours, 6, 500e6, 0));
        book.setLossLimit(holder, RiskBook.LossLimit(1_000e8, 1_000e8, 0));
        vm.stopPrank();

        uint256[] memory tracked = new uint256[](2);
        tracked[0] = uint256(TOKEN_KEPT) << 160 | uint160(address(collateral));
        tracked[1] = uint256(TOKEN_DEBT) << 160 | uint160(address(debt));
        morpho.setPosition(holder, 0, 3 ether);
        uint256[] memory before = _looks(collateral, debt);
        morpho.setPosition(holder, 0, 2 ether);
        uint256[] memory withdrawn = _looks(collateral, debt);
        morpho.setPosition(holder, 600e12, 3 ether);
        uint256[] memory borrowed = _looks(collateral, debt);
        vm.startPrank(holder);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.LossAboveExecution.selector, 2_000e8, 1_000e8));
        book.charge(tracked, before, withdrawn);
        vm.expectRevert(abi.encodeWithSelector(RiskBook.CapExceeded.selector, address(debt), 600e6, 500e6));
        book.charge(tracked, before, borrowed);
    }

    function _morpho(uint8 kind, address underlying) private returns (PositionToken) {
        return new PositionToken(kind, address(morpho), MARKET, underlying);
    }

    function _looks(PositionToken a, PositionToken b) private view returns (uint256[] memory amounts) {
        amounts = new uint256[](2);
        (amounts[0], amounts[1]) = (a.balanceOf(holder), b.balanceOf(holder));
    }
}
