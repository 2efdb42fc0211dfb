// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.28;

import {PositionAccount} from "../src/PositionAccount.sol";
import {AccountFactory} from "../src/AccountFactory.sol";
import {AtomicExecutor} from "../src/AtomicExecutor.sol";
import {Authority} from "../src/Authority.sol";
import {TOKEN_KEPT} from "../src/IPolicyRegistry.sol";
import {Operations} from "../src/Operations.sol";
import {PolicyRegistry} from "../src/PolicyRegistry.sol";
import {RiskBook} from "../src/RiskBook.sol";
import {Scratch} from "../src/Scratch.sol";
import {TimeLocked} from "../src/TimeLocked.sol";
import {IERC20} from "../src/Tokens.sol";
import {TwoStepOwner} from "../src/TwoStepOwner.sol";
import {TestFeed} from "./support/Lending.sol";
import {Ops} from "./support/Ops.sol";
import {World} from "./support/World.sol";

/// @dev Positions as lenders keep them: anyone may add to anyone's, only the holder takes out, to whom it likes.
///      What `balanceOf` tells is the receipt.
contract Bank {
    IERC20 private immutable _token;
    uint8 public constant decimals = 18;
    mapping(address holder => uint256) public balanceOf;

    constructor(IERC20 token) {
        _token = token;
    }

    function supply(address onBehalfOf, uint256 amount) external {
        (bool ok,) = address(_token)
            .call(abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, this, amount));
        require(ok, "not paid");
        balanceOf[onBehalfOf] += amount;
    }

    function withdraw(uint256 amount, address to) external {
        balanceOf[msg.sender] -= amount;
        _token.transfer(to, amount);
    }
}

/// @dev A listed target that gives nothing for what it takes: a pool that the holder of a stolen key has skewed.
contract Sink {
    uint256 public taken;

    function take(address token, uint256 amount) external {
        (bool ok,) = token.call(
            abi.encodeWithSignature("transferFrom(address,address,uint256)", msg.sender, this, amount)
        );
        require(ok, "not paid");
        taken += amount;
    }
}

contract AccountsTest is World {
    uint128 private constant CAP = 100 ether;
    uint128 private constant CAP_PER_S = 0.1 ether;
    uint128 private constant LOSS_PER_EXECUTION = 20e8;
    uint128 private constant LOSS_CAP = 50e8;
    uint128 private constant LOSS_PER_S = 0.05e8;

    AccountFactory private factory;
    RiskBook private risk;
    Bank private bank;
    Sink private sink;
    TestFeed private feed;
    address private policy = makeAddr("policy");
    address private key = makeAddr("key");
    address private otherKey = makeAddr("other key");
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        risk = new RiskBook(owner);
        bank = new Bank(IERC20(address(usd)));
        sink = new Sink();
        feed = new TestFeed(1e8);
        factory = new AccountFactory(owner, _around());
        vm.startPrank(owner);
        _configure();
        id = factory.approveTemplate(_template());
        factory.allotOperator(key, id);
        factory.allotOperator(otherKey, id);
        vm.stopPrank();
    }

    // ------------------------------------------------------------------- making

    function test_anyone_makes_an_allotted_account_where_it_was_foretold() public {
        address foretold = factory.addressOf(key, type(PositionAccount).creationCode);
        vm.expectEmit();
        emit AccountFactory.AccountMade(foretold, key, id);
        PositionAccount account = _make(key);
        assertEq(address(account), foretold);
        assertEq(factory.accountOf(key), foretold);
        assertEq(account.owner(), owner);
        assertEq(account.beneficiary(), beneficiary);
        assertEq(account.rolesOf(key), account.ROLE_OPERATOR());
        assertEq(account.rolesOf(guardian), account.ROLE_GUARDIAN());
        assertEq(account.rolesOf(pauser), account.ROLE_PAUSER());
        assertEq(account.rolesOf(otherKey), 0);
        assertEq(registry.policyOf(foretold), policy);
        assertEq(risk.policyOf(foretold), policy);
        assertTrue(registry.isSealed(foretold));
        assertTrue(risk.holdsPositions(foretold));
        assertEq(abi.encode(factory.surroundings()), abi.encode(_around()));
        assertEq(abi.encode(factory.templates(id)), abi.encode(_template()));
    }

    function test_an_account_has_the_code_of_an_executor() public {
        AtomicExecutor plain =
            new AtomicExecutor(owner, registry, risk, planChecks, address(weth), beneficiary);
        assertEq(address(_make(key)).code, address(plain).code);
    }

    function test_a_key_has_one_account_ever() public {
        address account = address(_make(key));
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.AlreadyMade.selector, account));
        _make(key);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.OperatorTaken.selector, key));
        factory.allotOperator(key, id);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.AlreadyMade.selector, account));
        factory.withdrawOperator(key);
    }

    function test_only_the_approved_code_is_made() public {
        bytes memory code = bytes.concat(type(PositionAccount).creationCode, hex"00");
        vm.expectRevert(
            abi.encodeWithSelector(
                AccountFactory.CodeDiffers.selector,
                keccak256(type(PositionAccount).creationCode),
                keccak256(code)
            )
        );
        factory.makeAccount(key, code);
    }

    function test_keys_that_were_not_allotted_or_withdrawn_get_nothing() public {
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.OperatorNotAllotted.selector, stranger));
        _make(stranger);
        vm.startPrank(owner);
        factory.withdrawOperator(key);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.OperatorNotAllotted.selector, key));
        factory.withdrawOperator(key);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.OperatorNotAllotted.selector, key));
        _make(key);
    }

    function test_revoked_templates_make_nothing_more() public {
        PositionAccount account = _make(otherKey);
        vm.startPrank(owner);
        factory.revokeTemplate(id);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.NotApproved.selector, id));
        factory.revokeTemplate(id);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.NotApproved.selector, id));
        factory.allotOperator(stranger, id);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.NotApproved.selector, id));
        _make(key);
        assertEq(account.owner(), owner);
    }

    function test_unfit_templates_and_keys_are_refused() public {
        AccountFactory.Template memory template = _template();
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(AccountFactory.AlreadyApproved.selector, id));
        factory.approveTemplate(template);
        template.policy = address(0);
        vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
        factory.approveTemplate(template);
        vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
        factory.allotOperator(address(0), id);
    }

    function test_templates_without_stops_are_possible_and_without_owner_not() public {
        AccountFactory.Template memory template = _template();
        (template.guardian, template.pauser) = (address(0), address(0));
        PositionAccount account = _makeFrom(template, makeAddr("third key"));
        assertEq(account.rolesOf(address(0)), 0);
        template.owner = address(0);
        address fourth = makeAddr("fourth key");
        vm.startPrank(owner);
        factory.allotOperator(fourth, factory.approveTemplate(template));
        vm.stopPrank();
        vm.expectRevert(AccountFactory.NotMade.selector);
        _make(fourth);
    }

    function test_accounts_have_an_operator() public {
        PositionAccount.People memory people =
            PositionAccount.People(owner, beneficiary, address(0), guardian, pauser);
        PositionAccount.Surroundings memory around = _around();
        vm.expectRevert(TwoStepOwner.ZeroAddress.selector);
        new PositionAccount(around, people);
    }

    function test_no_account_under_an_open_policy() public {
        AccountFactory.Template memory template = _template();
        template.policy = makeAddr("open policy");
        address third = makeAddr("third key");
        vm.startPrank(owner);
        factory.allotOperator(third, factory.approveTemplate(template));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(TimeLocked.NotSealed.selector, template.policy));
        _make(third);
    }

    function test_only_the_owner_approves_and_allots() public {
        bytes memory reason = abi.encodeWithSelector(TwoStepOwner.NotOwner.selector, address(this));
        AccountFactory.Template memory template = _template();
        vm.expectRevert(reason);
        factory.approveTemplate(template);
        vm.expectRevert(reason);
        factory.revokeTemplate(id);
        vm.expectRevert(reason);
        factory.allotOperator(stranger, id);
        vm.expectRevert(reason);
        factory.withdrawOperator(key);
    }

    // ------------------------------------------------------- one account against another

    function test_a_key_moves_its_own_account() public {
        (PositionAccount account,) = _funded();
        _run(account, Ops.stream(_withdraw(address(account))));
        assertEq(bank.balanceOf(address(account)), 900 ether);
        assertEq(usd.balanceOf(address(account)), 100 ether);
    }

    function test_a_key_cannot_run_another_account() public {
        (, PositionAccount other) = _funded();
        AtomicExecutor.Header memory header = _positionHeader();
        bytes memory operations = Ops.stream(_withdraw(address(other)));
        vm.expectRevert(abi.encodeWithSelector(Authority.MissingRole.selector, key, other.ROLE_OPERATOR()));
        vm.prank(key);
        other.execute(header, _noBounds(), "", operations);
    }

    function test_a_key_cannot_name_another_account_as_recipient_or_holder() public {
        (PositionAccount account, PositionAccount other) = _funded();
        uint256 self = uint160(address(account));
        uint256 them = uint160(address(other));
        _runRefused(
            account,
            _withdraw(address(other)),
            abi.encodeWithSelector(PolicyRegistry.WordRefused.selector, 1, 2, them, self)
        );
        bytes memory supply = abi.encodeCall(Bank.supply, (address(other), 1 ether));
        _runRefused(
            account,
            Ops.call(address(bank), Ops.none(), supply),
            abi.encodeWithSelector(PolicyRegistry.WordRefused.selector, 0, 2, them, self)
        );
    }

    function test_an_account_cannot_be_made_to_call_another_account() public {
        (PositionAccount account, PositionAccount other) = _funded();
        AtomicExecutor.Header memory header = _positionHeader();
        bytes[3] memory calls = [
            abi.encodeCall(
                AtomicExecutor.execute, (header, _noBounds(), "", Ops.stream(_withdraw(address(other))))
            ),
            abi.encodeCall(Authority.halt, ()),
            abi.encodeCall(TwoStepOwner.takeOwnership, ())
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            _runRefused(
                account,
                Ops.call(address(other), Ops.none(), calls[i]),
                abi.encodeWithSelector(
                    PolicyRegistry.NotListed.selector, address(account), address(other), bytes4(calls[i])
                )
            );
        }
    }

    /// @dev Even where a careless owner lists an account in the shared policy, the other side has the last word.
    function test_a_listed_account_still_answers_to_its_own_key_alone() public {
        (PositionAccount account, PositionAccount other) = _funded();
        bytes memory halt = abi.encodeCall(Authority.halt, ());
        bytes memory listing = abi.encodeCall(
            PolicyRegistry.list,
            (policy, address(other), "halt()", _entry(new PolicyRegistry.Rule[](0), 0, false))
        );
        bytes[] memory calls = new bytes[](1);
        calls[0] = listing;
        vm.startPrank(owner);
        registry.propose(calls);
        vm.warp(block.timestamp + registry.LOOSENING_DELAY_S());
        (bool ok,) = address(registry).call(listing);
        assertTrue(ok);
        vm.stopPrank();
        bytes memory reason =
            abi.encodeWithSelector(Authority.MissingRole.selector, address(account), account.ROLE_GUARDIAN());
        _runRefused(
            account,
            Ops.call(address(other), Ops.none(), halt),
            abi.encodeWithSelector(Operations.OperationFailed.selector, address(other), bytes4(halt), reason)
        );
    }

    /// @dev One plan borrows and names the other account as receiver: the armed frame is not there.
    function test_a_lender_cannot_call_back_the_other_account() public {
        (, PositionAccount other) = _funded();
        address[] memory tokens = new address[](1);
        uint256[] memory amounts = new uint256[](1);
        (tokens[0], amounts[0]) = (address(usd), 1 ether);
        vm.expectRevert(
            abi.encodeWithSelector(Scratch.CallbackNotArmed.selector, vault, other.receiveFlashLoan.selector)
        );
        vm.prank(vault);
        other.receiveFlashLoan(tokens, amounts, new uint256[](1), hex"00");
    }

    function test_what_one_account_loses_uses_up_no_room_of_the_other() public {
        (PositionAccount account, PositionAccount other) = _funded();
        _lose(account, 5 ether);
        assertEq(risk.tokenRoom(address(account), address(bank)), CAP - 5 ether);
        assertEq(risk.lossRoom(address(account)), LOSS_PER_EXECUTION);
        assertEq(risk.tokenRoom(address(other), address(bank)), CAP);
    }

    function test_one_execution_loses_no_more_than_its_limit() public {
        (PositionAccount account,) = _funded();
        AtomicExecutor.Header memory header = _positionHeader();
        vm.expectRevert(
            abi.encodeWithSelector(RiskBook.LossAboveExecution.selector, 21e8, LOSS_PER_EXECUTION)
        );
        vm.prank(key);
        account.execute(header, _fall(), "", _drain(address(account), 21 ether));
    }

    /// @dev The stated loss: whatever a stolen key does and however often, no more leaves than caps and refill.
    /// forge-config: default.fuzz.runs = 48
    function testFuzz_a_stolen_key_loses_no_more_than_the_caps(uint256 seed) public {
        (PositionAccount account, PositionAccount other) = _funded();
        uint256 start = block.timestamp;
        for (uint256 i = 0; i < 16; ++i) {
            seed = uint256(keccak256(abi.encode(seed)));
            vm.warp(block.timestamp + seed % 60);
            feed.set(1e8);
            AtomicExecutor.Header memory header = _positionHeader();
            vm.prank(key);
            try account.execute(header, _fall(), "", _drain(address(account), (seed >> 32) % 25 ether + 1)) {}
                catch {}
            assertLe(sink.taken(), 50 ether + (block.timestamp - start) * 0.05 ether);
        }
        assertGt(sink.taken(), 0);
        assertEq(bank.balanceOf(address(other)), 1_000 ether);
    }

    // ------------------------------------------------------------------- internal

    function _around() private view returns (PositionAccount.Surroundings memory) {
        return PositionAccount.Surroundings(registry, risk, planChecks, address(weth));
    }

    function _template() private view returns (AccountFactory.Template memory) {
        return AccountFactory.Template(
            keccak256(type(PositionAccount).creationCode), policy, owner, beneficiary, guardian, pauser
        );
    }

    /// @dev One policy for both accounts: a bank that keeps positions, and a sink.
    function _configure() private {
        PolicyRegistry.Rule[] memory rules = new PolicyRegistry.Rule[](2);
        (rules[0], rules[1]) = (PolicyRegistry.Rule(5, 0), PolicyRegistry.Rule(2, 0));
        registry.list(policy, address(bank), "withdraw(uint256,address)", _entry(rules, 0, true));
        (rules[0], rules[1]) = (PolicyRegistry.Rule(2, 0), PolicyRegistry.Rule(5, 0));
        registry.list(policy, address(bank), "supply(address,uint256)", _entry(rules, 0, true));
        (rules[0], rules[1]) = (PolicyRegistry.Rule(5, 0), PolicyRegistry.Rule(5, 0));
        registry.list(policy, address(sink), "take(address,uint256)", _entry(rules, 0, false));
        registry.setToken(policy, address(usd), TOKEN_KEPT, true);
        registry.setToken(policy, address(bank), TOKEN_KEPT, false);
        risk.setTokenLimit(
            policy, address(bank), RiskBook.TokenLimit(address(feed), 1 hours, 18, CAP, CAP_PER_S)
        );
        risk.setTokenLimit(
            policy, address(usd), RiskBook.TokenLimit(address(feed), 1 hours, 18, CAP, CAP_PER_S)
        );
        risk.setLossLimit(policy, RiskBook.LossLimit(LOSS_PER_EXECUTION, LOSS_CAP, LOSS_PER_S));
        risk.setHoldsPositions(policy, true);
        registry.setBinder(address(factory), true);
        risk.setBinder(address(factory), true);
        registry.seal(policy);
        risk.seal(policy);
    }

    function _make(address operator_) private returns (PositionAccount) {
        return PositionAccount(payable(factory.makeAccount(operator_, type(PositionAccount).creationCode)));
    }

    function _makeFrom(AccountFactory.Template memory template, address operator_)
        private
        returns (PositionAccount)
    {
        vm.startPrank(owner);
        factory.allotOperator(operator_, factory.approveTemplate(template));
        vm.stopPrank();
        return _make(operator_);
    }

    /// @dev Two accounts with 1,000 USD in the bank each.
    function _funded() private returns (PositionAccount account, PositionAccount other) {
        (account, other) = (_make(key), _make(otherKey));
        usd.mint(address(this), 2_000 ether);
        usd.approve(address(bank), 2_000 ether);
        bank.supply(address(account), 1_000 ether);
        bank.supply(address(other), 1_000 ether);
    }

    function _positionHeader() private returns (AtomicExecutor.Header memory header) {
        header = _nothingHeader();
        header.accountingToken = address(0);
    }

    /// @dev Lets the receipt fall as far as it will: the book has the last word.
    function _fall() private view returns (AtomicExecutor.Bound[] memory) {
        return _bound(1, address(bank), type(uint256).max);
    }

    function _withdraw(address to) private view returns (bytes memory) {
        bytes memory data = abi.encodeCall(Bank.withdraw, (100 ether, to));
        return Ops.call(address(bank), Ops.none(), data);
    }

    function _drain(address account, uint256 amount) private view returns (bytes memory) {
        bytes memory out = abi.encodeCall(Bank.withdraw, (amount, account));
        bytes memory take = abi.encodeCall(Sink.take, (address(usd), amount));
        return Ops.stream(
            bytes.concat(
                Ops.call(address(bank), Ops.none(), out),
                Ops.callWithAllowance(address(sink), address(usd), address(sink), Ops.lit(amount), take)
            )
        );
    }

    function _lose(PositionAccount account, uint256 amount) private {
        _run(account, _drain(address(account), amount));
    }

    function _run(PositionAccount account, bytes memory operations) private {
        AtomicExecutor.Header memory header = _positionHeader();
        vm.prank(key);
        account.execute(header, _fall(), "", operations);
    }

    function _runRefused(PositionAccount account, bytes memory operation, bytes memory reason) private {
        AtomicExecutor.Header memory header = _positionHeader();
        vm.expectRevert(reason);
        vm.prank(key);
        account.execute(header, _fall(), "", Ops.stream(operation));
    }
}
