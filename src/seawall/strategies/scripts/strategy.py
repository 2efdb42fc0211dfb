"""A strategy file as a `Strategy`: woken by its triggers, at most one plan alive.

Flow: intents, timers and logs change the memory -> at a head, its reads make a `World` -> if a trigger fired
or a run is due, and nothing of ours is under way, the file is looked at (`running.attempt`). What prevents a
plan at this block is counted in `drops`, told to the operator in the decision's note, and tried again when
the next trigger fires; a run that is due stays due while the chain cannot be read.

The file's text and the address book come with the settings: a host reads no files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, Self

from seawall.primitives.errors import ConfigError, SeawallError
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.units import address_from_text
from seawall.protocols.surroundings import surroundings_of
from seawall.strategies.base import decision
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.memory import Memory
from seawall.strategies.scripts.running import Attempt, attempt
from seawall.strategies.scripts.script import Script
from seawall.strategies.scripts.settings import SETTINGS
from seawall.strategies.scripts.triggers import (
    MISSED_RUNS_MAX,
    BlockTrigger,
    DailyTrigger,
    EventTrigger,
    IntervalTrigger,
    PriceTrigger,
    event_filter,
    runs_due,
    timers_of,
)
from seawall.strategies.scripts.world import World

__all__ = ["ScriptStrategy"]

DROPS_KEPT_MAX: Final = 100


class ScriptStrategy:
    """One file's strategy. `drops` counts why looking brought no plan, since this instance started."""

    def __init__(self, name: str, script: Script) -> None:
        self.name = name
        self.script = script
        self.drops: Counter[str] = Counter()
        self._last_number: int | None = None
        self._reads_nothing = not script.scope.needs.reads({})
        self._events = tuple(t for t in script.triggers if isinstance(t, EventTrigger))
        self._crossings = tuple(t for t in script.triggers if isinstance(t, PriceTrigger))
        self._blocks = tuple(t for t in script.triggers if isinstance(t, BlockTrigger))
        self._scheduled = tuple(t for t in script.triggers if isinstance(t, IntervalTrigger | DailyTrigger))

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        where = f"strategies.{name}"
        unknown = sorted(set(settings) - set(SETTINGS))
        if unknown:
            raise ConfigError(f"unknown setting {unknown[0]!r}", where, f"known are: {', '.join(SETTINGS)}")
        texts = {key: settings.get(key, "") for key in ("file", "text", "book", "executor", "key")}
        chain_id, variables = settings.get("chain_id"), settings.get("variables", {})
        if (
            not all(isinstance(text, str) for text in texts.values())
            or not isinstance(chain_id, int)
            or not isinstance(variables, dict)
        ):
            raise ConfigError("the settings of a strategy file are malformed", where, "name it by `file`")
        executor = str(texts["executor"])
        standing = Standing(
            chain_id,
            address_from_text(str(texts["key"])),
            address_from_text(executor) if executor else None,
            {str(key): str(value) for key, value in variables.items()},
        )
        surroundings = surroundings_of(str(texts["book"]))
        script = load_script(str(texts["text"]).encode(), str(texts["file"]), surroundings, standing)
        return cls(name, script)

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (self._subscription({}),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        before = Memory.from_state(state)
        memory = self._remembered(before, observation)
        found: Attempt | None = None
        subscriptions: tuple[Subscription, ...] | None = None
        if observation.reads or self._reads_nothing:
            memory, found = self._look(memory, observation)
            wanted = self._subscription(observation.reads)
            if {read.label for read in wanted.reads} != set(observation.reads):
                subscriptions = (wanted,)
        plans = () if found is None or found.plan is None else (found.plan,)
        if plans:
            memory = replace(memory, own=memory.own.with_plans(plans))
        note = None
        if found is not None and found.plan is None:
            note = f"{found.place}: {found.reason}" if found.place else found.reason
            if len(self.drops) < DROPS_KEPT_MAX:
                self.drops[note] += 1
        timers = timers_of(dict(memory.schedule)) if memory.schedule != before.schedule else None
        return decision(
            observation,
            plans,
            state=memory.to_state() if memory != before else None,
            timers=timers,
            subscriptions=subscriptions,
            note=note,
        )

    def world(self, observation: Observation) -> World:
        """What the file's expressions see in `observation`."""
        scope = self.script.scope
        return World(observation.block, observation.now_s, observation.reads, scope.needs, scope.feeds)

    # ------------------------------------------------------------------ within

    def _subscription(self, answers: Mapping[str, bytes | None]) -> Subscription:
        filters = [trigger.filter for trigger in self._events]
        keeper = self.script.keeper
        if keeper is not None and keeper.rivals is not None:
            filters.append(event_filter(keeper.rivals.source, keeper.rivals.topic))
        return Subscription(
            self.script.chain_id,
            reads=self.script.scope.needs.reads(answers),
            logs=tuple(dict.fromkeys(filters)),
        )

    def _remembered(self, memory: Memory, observation: Observation) -> Memory:
        """The memory after what is not read of a head."""
        own = memory.own.after(observation, self.script.cooldown_blocks)
        memory = replace(memory, own=own)
        if self.script.keeper is not None:
            memory = self.script.keeper.after(memory, observation)
        due, schedule = dict(memory.due), dict(memory.schedule)
        for trigger in self._scheduled:
            at_s = schedule.get(trigger.name)
            if at_s is None:
                schedule[trigger.name] = trigger.next_after(observation.now_s)
            elif trigger.name in observation.timers or observation.now_s >= at_s:
                runs = runs_due(trigger, at_s, observation.now_s)
                if runs:
                    due[trigger.name] = min(due.get(trigger.name, 0) + runs, MISSED_RUNS_MAX)
                schedule[trigger.name] = trigger.next_after(observation.now_s)
        for event in self._events:
            if event.fires(observation):
                due[event.name] = 1
        return replace(memory, due=tuple(sorted(due.items())), schedule=tuple(sorted(schedule.items())))

    def _look(self, memory: Memory, observation: Observation) -> tuple[Memory, Attempt | None]:
        world, number = self.world(observation), observation.block.number
        fired = not self.script.triggers
        for trigger in self._blocks:
            fired = trigger.fires(number, self._last_number) or fired
        self._last_number = number
        memory, trouble = self._crossed(memory, world)
        if not (fired or memory.due) or not memory.own.is_quiet(number):
            return memory, trouble
        keeper = self.script.keeper
        refusal = "" if keeper is None else keeper.refuses(memory, observation)
        if refusal:
            return memory, Attempt(None, refusal)
        found = attempt(self.script, observation, world)
        if found.plan is not None or found.is_condition:
            memory = _one_run_less(memory)
        if found.plan is not None and keeper is not None:
            memory = keeper.charged(memory, found.plan.idempotency_key, observation.now_s)
        return memory, found

    def _crossed(self, memory: Memory, world: World) -> tuple[Memory, Attempt | None]:
        """A crossing is due until it was acted on: the next block is on one side only. With it, why a value
        cannot be told."""
        above, due = dict(memory.above), dict(memory.due)
        frame = self.script.scope.frame(world)
        trouble = None
        for trigger in self._crossings:
            try:
                is_above = trigger.is_above(frame)
            except SeawallError as error:
                trouble = Attempt(None, f"{trigger.name}: {error.what}")
                continue
            if trigger.fires(was_above=above.get(trigger.name), is_above=is_above):
                due[trigger.name] = 1
            above[trigger.name] = is_above
        return replace(memory, above=tuple(sorted(above.items())), due=tuple(sorted(due.items()))), trouble


def _one_run_less(memory: Memory) -> Memory:
    return replace(memory, due=tuple((name, runs - 1) for name, runs in memory.due if runs > 1))
