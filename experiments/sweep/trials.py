"""The trials of a sweep: Optuna chooses, runs are trained seed by seed, bad trials are pruned in between."""

import json
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from experiments.lab.display import StudyDisplay, training_progress
from experiments.lab.runs import is_complete, process_pool, train_in_pool
from experiments.sweep.plan import Plan, Trial, differing, line_of, score_of
from rl.config import Config

RANDOM_TRIALS = 8  # before the sampler learns from them, and before anything is pruned
FILE = "sweep.db"


def optuna_of() -> Any:
    """Optuna, silent.

    Raises:
        ValueError: it is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ValueError("a sweep needs Optuna: pip install -e .[sweep]") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


class Sweep:
    """A plan and what has been done of it, which lies in --out and survives a kill at any moment."""

    def __init__(self, plan: Plan) -> None:
        """Open the storage, or make it.

        Raises:
            ValueError: it holds another sweep, or Optuna is not installed.
        """
        self.plan, self.optuna = plan, optuna_of()
        storage = f"sqlite:///{plan.out / FILE}"
        try:
            self.study = self.optuna.create_study(
                storage=storage,
                study_name="sweep",
                direction="maximize",
                load_if_exists=True,
                pruner=self.optuna.pruners.MedianPruner(n_startup_trials=RANDOM_TRIALS),
            )
            known = self.study.user_attrs.setdefault("identity", plan.identity())
        except Exception as error:  # of the database
            words = " ".join(str(error).split())
            raise ValueError(f"{plan.out / FILE}: not the storage of a sweep ({words}); name another --out") from None
        if known != plan.identity():
            what = differing(json.loads(known), json.loads(plan.identity()))
            raise ValueError(f"{plan.out / FILE}: a sweep with other {what}; name another --out")
        self.study.set_user_attr("identity", plan.identity())

    @property
    def trials(self) -> list[Trial]:
        """The trials that have ended."""
        ended, states = [], self.optuna.trial.TrialState
        for one in self.study.get_trials(deepcopy=False):
            if one.state.is_finished() and "settings" in one.user_attrs:
                scores = one.user_attrs.get("scores", [])
                name = {states.COMPLETE: "complete", states.PRUNED: "pruned"}.get(one.state, "failed")
                name = "repeated" if "repeats" in one.user_attrs else name
                why = one.user_attrs.get("why", "")
                ended.append(Trial(one.number, one.user_attrs["settings"], scores, name, why))
        return ended

    def complete(self) -> list[Trial]:
        """Train until all trials have ended.

        Raises:
            RunFailed: a signal ended a run; the same command goes on.
        """
        plan = self.plan
        with training_progress() as progress:
            display = StudyDisplay(progress, plan.trials, len(self.trials))
            with process_pool(plan.processes) as pool:
                while batch := self.begun() or self.asked():
                    self.train(batch, pool, display)
        return self.trials

    def begun(self) -> list[Any]:
        """Trials that a kill left unfinished."""
        running = self.study.get_trials(deepcopy=False, states=(self.optuna.trial.TrialState.RUNNING,))
        return [self.optuna.trial.Trial(self.study, one._trial_id) for one in running]

    def begun_so_far(self) -> int:
        """How many trials have begun."""
        waiting = self.optuna.trial.TrialState.WAITING
        return sum(one.state != waiting for one in self.study.get_trials(deepcopy=False))

    def asked(self) -> list[Any]:
        """The next trials. Each one's settings depend on the trials before it and its number, not on kills."""
        left = self.plan.trials - self.begun_so_far()
        batch = []
        for _ in range(min(left, self.plan.processes)):
            number = self.begun_so_far()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # some of its arguments are called experimental
                sampler = self.optuna.samplers.TPESampler(
                    n_startup_trials=RANDOM_TRIALS, constant_liar=True, seed=self.plan.config.seed * 100_003 + number
                )
            self.study.sampler = sampler
            own = {one.name: getattr(self.plan.config, one.name) for one in self.plan.space}
            if (
                number == 0
                and not self.study.get_trials(deepcopy=False)
                and all(one.has(own[one.name]) for one in self.plan.space)
            ):
                self.study.enqueue_trial(own)
            batch.append(self.study.ask())
        return batch

    def train(self, batch: Sequence[Any], pool: Any, display: StudyDisplay) -> None:
        """Train trials side by side, seed by seed."""
        live = {}
        for trial in batch:
            settings = {one.name: one.suggest(trial) for one in self.plan.space}
            trial.set_user_attr("settings", settings)
            twin = next((one for one in self.trials if one.settings == settings), None)
            if twin or settings in (other for other, _ in live.values()):
                self.repeat(trial, twin)
                display.end()
            else:
                live[trial.number] = settings, trial
        for place, seed in enumerate(self.plan.seeds):
            configs = {number: self.config_of(number, settings, seed) for number, (settings, _) in live.items()}
            failures = trained({n: c for n, c in configs.items() if isinstance(c, Config)}, pool)
            failures |= {number: words for number, words in configs.items() if isinstance(words, str)}
            for number, (_, trial) in list(live.items()):
                if self.ends(trial, configs[number], failures.get(number), place):
                    del live[number]
                    display.end()
                    done = next(one for one in self.trials if one.number == number)
                    display.notify(line_of(done))

    def confirm(self, seeds: Sequence[int]) -> dict[int, list[float]]:
        """Train the best and the first trial again on fresh seeds; their scores, by trial.

        Raises:
            RunFailed: a signal ended a run; the same command goes on.
        """
        complete = [one for one in self.trials if one.state == "complete"]
        if not complete or not seeds:
            return {}
        best = max(complete, key=lambda one: one.value)
        chosen = {one.number: one for one in (best, self.trials[0]) if one.state != "failed"}
        configs = {
            (number, seed): self.plan.run_config(one.settings, f"trial-{number:03}", seed)
            for number, one in chosen.items()
            for seed in seeds
        }
        with training_progress() as progress:
            display = StudyDisplay(progress, len(configs), 0)
            numbers = " and ".join(map(str, chosen))
            display.notify(f"Training again on fresh seeds: trial {numbers}")
            with process_pool(self.plan.processes) as pool:
                failures = trained(configs, pool, display.end)
        scores: dict[int, list[float]] = {}
        for key, config in configs.items():
            if key not in failures:
                scores.setdefault(key[0], []).append(score_of(config, self.plan.measure))
        return scores

    def importances(self) -> dict[str, float]:
        """Which share of the differences between trials comes from each option; nothing where trials are too few."""
        complete = [one for one in self.trials if one.state == "complete"]
        if len(complete) < 4 or len({one.value for one in complete}) < 2:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                evaluator = self.optuna.importance.PedAnovaImportanceEvaluator()
                return dict(self.optuna.importance.get_param_importances(self.study, evaluator=evaluator))
            except (RuntimeError, ValueError):  # too few for it, too
                return {}

    def config_of(self, number: int, settings: dict[str, Any], seed: int) -> Config | str:
        """The config of a run, or why there is none: options that contradict each other in between two corners."""
        try:
            return self.plan.run_config(settings, f"trial-{number:03}", seed)
        except ValueError as error:
            return str(error)

    def ends(self, trial: Any, config: Any, failure: str | None, place: int) -> bool:
        """Enter the score of a seed; whether the trial has ended with it."""
        states = self.optuna.trial.TrialState
        if failure is None:
            try:
                score = score_of(config, self.plan.measure)
            except ValueError as error:
                failure = str(error)
        if failure is not None:
            trial.set_user_attr("why", failure)
            self.study.tell(trial.number, state=states.FAIL)
            return True
        scores = [*trial.user_attrs.get("scores", [])[:place], score]
        trial.set_user_attr("scores", scores)
        mean = sum(scores) / len(scores)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a trial that goes on after a kill reports a step again
            trial.report(mean, place)
        if len(scores) == len(self.plan.seeds):
            self.study.tell(trial.number, mean)
        elif self.plan.prune and trial.should_prune():
            self.study.tell(trial.number, state=states.PRUNED)
        else:
            return False
        return True

    def repeat(self, trial: Any, twin: Trial | None) -> None:
        """End a trial whose settings another one has: nothing is trained twice."""
        states = self.optuna.trial.TrialState
        trial.set_user_attr("repeats", -1 if twin is None else twin.number)
        if twin and twin.state == "complete":
            trial.set_user_attr("scores", twin.scores)
            self.study.tell(trial.number, twin.value)
        else:
            self.study.tell(trial.number, state=states.FAIL)


def trained(configs: dict[Any, Config], pool: Any, ended: Callable[[], None] = lambda: None) -> dict[Any, str]:
    """Train the runs that are not complete yet; returns why runs have failed, by their keys. `ended` counts runs.

    Raises:
        RunFailed: a signal ended one.
    """
    failures, key_of = {}, {config.run_dir: key for key, config in configs.items()}
    missing = [config for config in configs.values() if not is_complete(config)]
    for _ in range(len(configs) - len(missing)):
        ended()

    def failed(config: Config, reason: str) -> None:
        failures[key_of[config.run_dir]] = reason
        ended()

    train_in_pool(pool, missing, finished=lambda _config: ended(), failed=failed)
    return failures
