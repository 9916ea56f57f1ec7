"""Learning-rate schedules and averages of weights against torch, step by step."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pappus as pp
from pappus import optim
from pappus.optim import lr_scheduler

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

SCHEDULES = [
    ("LambdaLR", lambda: {"lr_lambda": lambda s: 0.9**s}),
    ("LambdaLR", lambda: {"lr_lambda": [lambda s: 0.9**s, lambda s: 1 / (s + 1)]}),
    ("MultiplicativeLR", lambda: {"lr_lambda": lambda s: 0.95}),
    ("StepLR", lambda: {"step_size": 3, "gamma": 0.5}),
    ("MultiStepLR", lambda: {"milestones": [2, 5, 5, 9], "gamma": 0.3}),
    ("ConstantLR", lambda: {"factor": 0.25, "total_iters": 4}),
    ("LinearLR", lambda: {"start_factor": 0.1, "total_iters": 6}),
    ("LinearLR", lambda: {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 6}),
    ("ExponentialLR", lambda: {"gamma": 0.9}),
    ("PolynomialLR", lambda: {"total_iters": 8, "power": 2.0}),
    ("CosineAnnealingLR", lambda: {"T_max": 7, "eta_min": 0.01}),
    ("CosineAnnealingWarmRestarts", lambda: {"T_0": 3}),
    ("CosineAnnealingWarmRestarts", lambda: {"T_0": 3, "T_mult": 2, "eta_min": 0.05}),
    ("OneCycleLR", lambda: {"max_lr": 0.5, "total_steps": 25}),
    ("OneCycleLR", lambda: {"max_lr": [0.5, 0.2], "epochs": 5, "steps_per_epoch": 5, "anneal_strategy": "linear"}),
    ("OneCycleLR", lambda: {"max_lr": 0.5, "total_steps": 25, "three_phase": True, "pct_start": 0.2}),
    ("OneCycleLR", lambda: {"max_lr": 0.5, "total_steps": 25, "cycle_momentum": False}),
    ("CyclicLR", lambda: {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3}),
    ("CyclicLR", lambda: {"base_lr": [0.1, 0.2], "max_lr": 0.5, "step_size_up": 2, "step_size_down": 5,
                          "mode": "triangular2"}),
    ("CyclicLR", lambda: {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9,
                          "base_momentum": [0.5, 0.6], "max_momentum": 0.95}),
    ("CyclicLR", lambda: {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 3, "cycle_momentum": False,
                          "scale_fn": lambda x: 1 / (1 + x), "scale_mode": "iterations"}),
    ("SWALR", lambda: {"swa_lr": 0.05}),
    ("SWALR", lambda: {"swa_lr": [0.05, 0.3], "anneal_epochs": 4, "anneal_strategy": "linear"}),
    ("SWALR", lambda: {"swa_lr": 0.05, "anneal_epochs": 0}),
]  # fmt: skip


def of(library, name):
    """A schedule by name."""
    return getattr(library.optim.swa_utils if name == "SWALR" else library.optim.lr_scheduler, name)


def optimizers(name="SGD"):
    options = {"momentum": 0.9} if name == "SGD" else {}

    def make(module, ones):
        groups = [{"params": [ones(1)], "lr": 0.4}, {"params": [ones(2)], "lr": 0.1}]
        return getattr(module, name)(groups, lr=0.1, **options)

    ours = make(optim, lambda n: pp.ones(n, requires_grad=True))
    return make(torch.optim, lambda n: torch.ones(n, requires_grad=True)), ours


def state_of(opt):
    return [(g["lr"], g.get("momentum"), g.get("betas")) for g in opt.param_groups]


def walk(theirs, ours, first, second, steps=24):
    for _ in range(steps):
        for (a, b, c), (x, y, z) in zip(state_of(theirs), state_of(ours), strict=True):
            assert x == pytest.approx(a, rel=1e-12, abs=1e-15)
            assert y == (b if b is None else pytest.approx(b)) and z == (c if c is None else pytest.approx(c))
        assert second.get_last_lr() == pytest.approx(first.get_last_lr(), abs=1e-15)
        for opt, schedule in ((theirs, first), (ours, second)):
            opt.step()
            schedule.step()


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
@pytest.mark.parametrize("name, options", SCHEDULES, ids=[f"{i}-{n}" for i, (n, _) in enumerate(SCHEDULES)])
def test_schedule_equals_torchs(name, options, optimizer):
    theirs, ours = optimizers(optimizer)
    first = of(torch, name)(theirs, **options())
    second = of(pp, name)(ours, **options())
    walk(theirs, ours, first, second)


def test_sequential_schedule():
    theirs, ours = optimizers()

    def make(module, opt):
        parts = [module.LinearLR(opt, 0.1, total_iters=4), module.CosineAnnealingLR(opt, 6), module.StepLR(opt, 2)]
        return module.SequentialLR(opt, parts, [4, 10])

    walk(theirs, ours, make(torch.optim.lr_scheduler, theirs), make(lr_scheduler, ours))
    with pytest.raises(ValueError, match="2 milestones"):
        lr_scheduler.SequentialLR(ours, [lr_scheduler.StepLR(ours, 2)] * 3, [1])


def test_two_schedules_of_one_optimizer_multiply():
    theirs, ours = optimizers()

    def make(module, opt):
        return module.LinearLR(opt, 0.2, total_iters=3), module.ExponentialLR(opt, 0.8)

    schedules = [*make(torch.optim.lr_scheduler, theirs), *make(lr_scheduler, ours)]
    for _ in range(8):
        assert [g["lr"] for g in ours.param_groups] == pytest.approx([g["lr"] for g in theirs.param_groups])
        for opt in (theirs, ours):
            opt.step()
        for schedule in schedules:
            schedule.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "options", [{}, {"threshold_mode": "abs", "threshold": 0.1}, {"cooldown": 2, "min_lr": 0.03}], ids=str
)
def test_plateau_schedule(mode, options):
    theirs, ours = optimizers()
    first = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, mode, factor=0.5, patience=2, **options)
    second = lr_scheduler.ReduceLROnPlateau(ours, mode, factor=0.5, patience=2, **options)
    rng = np.random.default_rng(0)
    for step in range(40):
        metric = float(rng.normal() * 0.1 + 1 / (1 + step))
        for schedule in (first, second):
            schedule.step(metric)
        assert [g["lr"] for g in ours.param_groups] == pytest.approx([g["lr"] for g in theirs.param_groups])


@pytest.mark.parametrize("name, options", SCHEDULES, ids=[f"{i}-{n}" for i, (n, _) in enumerate(SCHEDULES)])
def test_a_schedules_state_dict_resumes(name, options):
    ours, other = optimizers()[1], optimizers()[1]
    schedule = of(pp, name)(ours, **options())
    for _ in range(6):
        ours.step()
        schedule.step()
    saved = copy.deepcopy((ours.state_dict(), schedule.state_dict()))
    fresh = of(pp, name)(other, **options())
    other.load_state_dict(saved[0])
    fresh.load_state_dict(saved[1])
    for _ in range(6):
        for opt, part in ((ours, schedule), (other, fresh)):
            opt.step()
            part.step()
        assert state_of(ours) == state_of(other)


CLOSED = [entry for entry in SCHEDULES if entry[0] not in ("SWALR", "CosineAnnealingWarmRestarts")]


@pytest.mark.parametrize("name, options", CLOSED, ids=[f"{i}-{n}" for i, (n, _) in enumerate(CLOSED)])
def test_a_schedule_can_be_set_to_a_step(name, options):
    theirs, ours = optimizers()
    first, second = of(torch, name)(theirs, **options()), of(pp, name)(ours, **options())
    for epoch in (3, 0, 6, None, 1):
        first.step(epoch)
        second.step(epoch)
        assert second.get_last_lr() == pytest.approx(first.get_last_lr(), rel=1e-12, abs=1e-15)


def test_restarts_take_fractions():
    theirs, ours = optimizers()
    first = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(theirs, 3, 2)
    second = lr_scheduler.CosineAnnealingWarmRestarts(ours, 3, 2)
    for epoch in (0.5, 2.9, 3.0, 4.25, 8.5, 9.0, 1.0):
        first.step(epoch)
        second.step(epoch)
        assert second.get_last_lr() == pytest.approx(first.get_last_lr())


def test_wrong_schedules_are_refused():
    ours = optimizers()[1]
    with pytest.raises(TypeError, match="str is not an Optimizer"):
        lr_scheduler.StepLR("sgd", 2)
    with pytest.raises(ValueError, match="expected 2 lr_lambdas"):
        lr_scheduler.LambdaLR(ours, [lambda s: 1.0])
    with pytest.raises(ValueError, match="total_steps"):
        lr_scheduler.OneCycleLR(ours, 0.1)
    with pytest.raises(ValueError, match="total steps"):
        schedule = lr_scheduler.OneCycleLR(ours, 0.1, total_steps=2)
        for _ in range(4):
            schedule.step()
    with pytest.raises(KeyError, match="initial_lr"):
        lr_scheduler.StepLR(optimizers()[1], 2, last_epoch=3)
    with pytest.raises(ValueError, match="expected 2 values, got 3"):
        lr_scheduler.CyclicLR(ours, [0.1] * 3, 0.2)
    with pytest.raises(ValueError, match="mode is invalid"):
        lr_scheduler.CyclicLR(ours, 0.1, 0.2, mode="square")
    with pytest.raises(ValueError, match="support momentum"):
        lr_scheduler.CyclicLR(optim.Rprop([pp.ones(1, requires_grad=True)]), 0.1, 0.2)
    with pytest.raises(ValueError, match="non-negative epoch"):
        lr_scheduler.CosineAnnealingWarmRestarts(ours, 2).step(-1)
    with pytest.raises(ValueError, match="at least one scheduler"):
        lr_scheduler.ChainedScheduler([])
    with pytest.raises(ValueError, match="does not support `ReduceLROnPlateau`"):
        lr_scheduler.SequentialLR(ours, [lr_scheduler.ReduceLROnPlateau(ours)], [])
    with pytest.raises(ValueError, match="same optimizer"):
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(o, 2) for o in (ours, optimizers()[1])])
    with pytest.raises(ValueError, match="threshold mode"):
        lr_scheduler.ReduceLROnPlateau(ours, threshold_mode="any")
    with pytest.raises(ValueError, match="anneal_epochs"):
        pp.optim.swa_utils.SWALR(ours, 0.1, -1)


def test_a_step_too_early_is_warned_of():
    ours = optimizers()[1]
    schedule = lr_scheduler.StepLR(ours, 2)
    with pytest.warns(UserWarning, match="before optimizer.step"):
        schedule.step()


def test_chained_schedules():
    theirs, ours = optimizers()

    def make(module, opt):
        parts = [module.ConstantLR(opt, 0.1, total_iters=4), module.ExponentialLR(opt, 0.9), module.StepLR(opt, 3)]
        return module.ChainedScheduler(parts, optimizer=opt)

    walk(theirs, ours, make(torch.optim.lr_scheduler, theirs), make(lr_scheduler, ours))


def test_a_chain_in_a_sequence_is_the_chain():
    """PyTorch's sequence takes the chain's first step as one that already decays."""

    def chain(opt):
        parts = [lr_scheduler.ConstantLR(opt, 0.5, 3), lr_scheduler.ExponentialLR(opt, 0.9)]
        return lr_scheduler.ChainedScheduler(parts)

    alone, inside = optimizers()[1], optimizers()[1]
    first = chain(alone)
    second = lr_scheduler.SequentialLR(inside, [chain(inside), lr_scheduler.StepLR(inside, 2)], [6])
    walk(alone, inside, first, second, 5)


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "ConstantLR",
                                  "CosineAnnealingLR", "MultiplicativeLR", "LambdaLR"])  # fmt: skip
def test_a_schedule_resumes_at_a_step(name):
    options = dict(SCHEDULES)[name]()

    def make(library, opt):
        for group in opt.param_groups:
            group["initial_lr"] = 0.4
        return of(library, name)(opt, **options, last_epoch=3)

    theirs, ours = optimizers()
    walk(theirs, ours, make(torch, theirs), make(pp, ours), 5)


def test_a_tensor_rate_is_filled():
    rate = pp.tensor(0.5)
    opt = optim.SGD([pp.ones(1, requires_grad=True)], lr=rate)
    schedule = lr_scheduler.ExponentialLR(opt, 0.5)
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] is rate and rate.item() == 0.25 and schedule.base_lrs == [0.5]


@pytest.mark.parametrize("name, options", SCHEDULES, ids=[f"{i}-{n}" for i, (n, _) in enumerate(SCHEDULES)])
def test_the_state_dict_has_torchs_names(name, options):
    """What PyTorch saves loads here, and goes on in the same way."""
    theirs, ours = optimizers()
    first, second = of(torch, name)(theirs, **options()), of(pp, name)(ours, **options())
    for _ in range(5):
        theirs.step()
        first.step()
    hidden = {"_is_initial", "_get_lr_called_within_step", "_anneal_strategy"}
    assert set(first.state_dict()) - hidden == set(second.state_dict()) - hidden
    second.load_state_dict(first.state_dict())
    ours.load_state_dict(theirs.state_dict())
    walk(theirs, ours, first, second, 6)


def test_callable_objects_are_saved_by_their_attributes():
    class Decay:
        def __init__(self, rate):
            self.rate = rate

        def __call__(self, step):
            return self.rate**step

    ours, other = optimizers()[1], optimizers()[1]
    saved = lr_scheduler.LambdaLR(ours, Decay(0.5)).state_dict()
    assert saved["lr_lambdas"][0] == {"rate": 0.5}
    fresh = lr_scheduler.LambdaLR(other, Decay(0.9))
    fresh.load_state_dict(saved)
    assert fresh.lr_lambdas[0].rate == 0.5


# -- averages of weights ------------------------------------------------------------------------


def twins():
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    ours = pp.nn.Sequential(pp.nn.Linear(3, 4), pp.nn.BatchNorm1d(4))
    ours.load_state_dict({k: pp.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return theirs, ours


@pytest.mark.parametrize("kind", ["mean", "ema", "multi_ema", "multi_mean"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_averaged_model(kind, use_buffers):
    if kind == "multi_mean" and use_buffers:
        pytest.skip("PyTorch's function refuses the counter of batches")

    def run(library, model):
        utils = library.optim.swa_utils
        options = {
            "mean": {},
            "ema": {"avg_fn": utils.get_ema_avg_fn(0.8)},
            "multi_ema": {"multi_avg_fn": utils.get_ema_multi_avg_fn(0.8)},
            "multi_mean": {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
        }[kind]
        average = utils.AveragedModel(model, use_buffers=use_buffers, **options)
        rng = np.random.default_rng(0)
        for _ in range(3):
            with library.no_grad():
                for t in [*model.parameters(), model[1].running_mean]:
                    t.copy_(library.tensor(rng.normal(size=tuple(t.shape)).astype("float32")))
            average.update_parameters(model)
        return average

    theirs, ours = map(run, (torch, pp), twins())
    expected, found = theirs.state_dict(), ours.state_dict()
    assert list(found) == list(expected) and found["n_averaged"].item() == 3
    for name, value in expected.items():
        np.testing.assert_allclose(found[name].numpy(), value.numpy(), rtol=1e-5, atol=1e-6, err_msg=name)
    x = np.ones((2, 3), "float32")
    theirs.eval(), ours.eval()
    np.testing.assert_allclose(ours(pp.tensor(x)).detach().numpy(), theirs(torch.tensor(x)).detach().numpy(), rtol=1e-4)


def test_update_bn():
    theirs, ours = twins()
    rng = np.random.default_rng(0)
    batches = [rng.normal(2, 3, size=(5, 3)).astype("float32") for _ in range(3)]
    ours.eval(), theirs.eval()
    torch.optim.swa_utils.update_bn([(torch.tensor(b), 0) for b in batches], theirs)
    pp.optim.swa_utils.update_bn([(pp.tensor(b), 0) for b in batches], ours)
    assert not ours.training and ours[1].momentum == 0.1
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        np.testing.assert_allclose(getattr(ours[1], name).numpy(), getattr(theirs[1], name).numpy(), rtol=1e-4)


def test_wrong_averages_are_refused():
    with pytest.raises(ValueError, match=r"Invalid decay value 1.5"):
        pp.optim.swa_utils.get_ema_avg_fn(1.5)
    with pytest.raises(ValueError, match="only one of"):
        pp.optim.swa_utils.AveragedModel(pp.nn.Linear(1, 1), avg_fn=print, multi_avg_fn=print)
