//! Runs a scenario to its end with the real loop and the real core, kills and resumes the daemon on
//! the way, and reports what the judge saw.

mod crash;
mod evidence;
mod leftovers;
mod plans;
mod report;
mod store;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use driver::{CHECKPOINT_EVERY, Driver, DriverError, Identity, Outside, Woken};
use engine::{BEHAVIOUR, PhaseName, State};
use journal::{FoldError, JournalId, OpenError, ReadError, Source};
use journal_schema::effect::{Effect, EffectId, Outcome};
use journal_schema::entry::Entry;
use journal_schema::event::{Digest, Event};
use journal_schema::policy::Policy;
use journal_schema::units::{MicroUsd, MicroUsdPerHour, Millis, Timestamp};
use replay::CheckOptions;

use crate::disk::{DiskPlan, Struck};
use crate::scenario::Scenario;
use crate::text::name;
use crate::world::{BuildError, World};
use crash::Switch;
pub use crash::{Crashes, Place};
pub use evidence::{Evidence, Update};
pub use plans::Plans;
pub use report::{Ending, SimulationReport};
use store::{Disk, Watched};

/// What a run is given beside its scenario and seed.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Where the daemon is killed.
    pub crashes: Crashes,
    /// The journal's directory; in memory without one.
    pub directory: Option<PathBuf>,
    /// The simulated disk that the journal is on, where it has no directory.
    pub disk: Option<DiskPlan>,
    /// Ends after so many iterations that changed something; 1 when zero.
    pub iterations: u32,
    /// The daemon's first lives are of an older release: so many of them.
    pub old_lives: u64,
    /// Entries between two checkpoints of the state.
    pub checkpoint_every: u64,
    /// At the end every forecast and plan of the journal is computed again; without it, the journal is only folded.
    pub recompute: bool,
    /// Plans that other runs computed already.
    pub plans: Option<Arc<Plans>>,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            crashes: Crashes::default(),
            directory: None,
            disk: None,
            iterations: 1,
            old_lives: 0,
            checkpoint_every: CHECKPOINT_EVERY,
            recompute: true,
            plans: None,
        }
    }
}

/// News of a run, for a progress display.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An entry was folded.
    Entry(&'a Entry, &'a State),
    /// The entries up to this one are durable. Told before anything that follows from them is sent.
    Flushed(u64),
    /// The daemon was killed.
    Killed(Place),
    /// It is about to start again, at this time.
    Resumes(Timestamp),
}

/// A run that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario cannot be built.
    #[error("the scenario cannot be built")]
    Build(#[from] BuildError),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    Open(#[from] Box<OpenError>),
    /// The daemon stopped by itself.
    #[error("the daemon stopped by itself")]
    Driver(#[from] Box<DriverError>),
}

/// An iteration moves at most so many pods for each of its plan's, and so many more: others scale and crash.
const MOVES_FACTOR: u64 = 2;
const MOVES_MORE: u64 = 10;

/// Turns of the loop after which a run is ended: no scenario needs a tenth of it.
const TURNS_MAX: u64 = 300_000;

/// How long the world is watched after the last iteration.
const TAIL: Millis = Millis::from_minutes(2);

/// Everything outside of the daemon, shared by its journal and its port.
struct Bench {
    world: World,
    switch: Switch,
    /// The last entry that a flush acknowledged.
    acknowledged: u64,
    /// The journal, while no daemon has it open.
    disk: Option<Disk>,
    /// The simulated disk that it is on.
    simulated: Option<Struck>,
    /// What was appended to a journal on a simulated disk, as far as it is still there.
    written: Vec<Entry>,
    /// The journal failed in this life.
    refused: bool,
    /// Turns of the daemon's loop, over all lives.
    turns: u64,
    /// The last durable entry, until it is told.
    flushed: Option<u64>,
}

/// The daemon's port to the world.
struct Link<'a, 'b> {
    bench: Rc<RefCell<Bench>>,
    progress: &'a mut dyn FnMut(Progress<'_>),
    watched: &'b mut Iterations,
    plans: Option<&'b Plans>,
}

/// Counts iterations as they end, over all lives.
#[derive(Debug, Default)]
struct Iterations {
    wanted: u32,
    ended: u32,
    moves: u64,
    last: Option<(u64, Ending, Option<String>)>,
    phase: Option<PhaseName>,
    phases: BTreeMap<PhaseName, u64>,
    last_busy: Option<Timestamp>,
    withheld: Vec<String>,
    /// The first iteration that moved far more pods than its plan had: how many of how many.
    overmoved: Option<(u64, u64)>,
    last_withheld: Option<(EffectId, Timestamp)>,
    behaviour: Option<u32>,
    /// The plan of an older release that was carried on.
    carried_on: Option<u64>,
}

impl Iterations {
    /// Looks whether one has just ended. True when it was the last that was wanted.
    fn look(&mut self, entry: &Entry, state: &State) -> bool {
        if let Event::DaemonStarted { behaviour, .. } = &entry.event {
            let another = self.behaviour.replace(*behaviour).is_some_and(|before| before != *behaviour);
            if another && state.phase().can_unwind() {
                self.carried_on = Some(state.iteration());
            }
        }
        let phase = state.phase().name();
        self.phase = Some(phase);
        *self.phases.entry(phase).or_default() += 1;
        if state.phase().can_unwind() || phase == PhaseName::Unwinding {
            self.last_busy = Some(state.now());
        }
        if let Some(blocked) = state.blocked()
            && self.last_withheld != Some((blocked.id, blocked.at))
        {
            self.last_withheld = Some((blocked.id, blocked.at));
            self.withheld.push(blocked.violation.to_string());
        }
        let Some(finished) = state.last_finished() else { return false };
        if self.last.as_ref().is_some_and(|(iteration, ..)| *iteration >= finished.iteration) {
            return false;
        }
        let ending = match (&finished.reason, finished.unwound) {
            (_, true) => Ending::Unwound,
            (None, false) => Ending::Completed,
            (Some(_), false) => Ending::Untouched,
        };
        let reason = finished.reason.as_ref().map(|reason| reason.code().to_owned());
        self.last = Some((finished.iteration, ending, reason));
        self.moves += u64::from(finished.counts.2);
        let planned = state.planned().filter(|(_, planned)| planned.plan.iteration == finished.iteration);
        let planned = planned.map_or(0, |(_, planned)| planned.plan.moves.len() as u64);
        if u64::from(finished.counts.2) > planned * MOVES_FACTOR + MOVES_MORE {
            self.overmoved.get_or_insert((finished.counts.2.into(), planned));
        }
        if ending != Ending::Untouched {
            self.ended += 1;
        }
        ending != Ending::Untouched && self.ended >= self.wanted
    }
}

impl Link<'_, '_> {
    fn tell_flushed(&mut self) {
        let flushed = self.bench.borrow_mut().flushed.take();
        if let Some(seq) = flushed {
            (self.progress)(Progress::Flushed(seq));
        }
    }
}

impl Outside for &mut Link<'_, '_> {
    fn wait(&mut self, longest: Option<Millis>) -> Woken {
        self.tell_flushed();
        let mut bench = self.bench.borrow_mut();
        bench.turns += 1;
        if bench.turns == TURNS_MAX {
            let now = bench.world.now();
            bench.world.judge.violation(now, "L5", format!("the loop turned {TURNS_MAX} times and went on"));
        }
        if bench.switch.dead || bench.turns >= TURNS_MAX {
            return Woken { now: bench.world.daemon_clock(), events: Vec::new(), stop: true };
        }
        let news = bench.world.wait_for_news(longest);
        Woken { now: news.now, events: news.events, stop: news.over }
    }

    fn perform(&mut self, effects: Vec<(EffectId, Effect)>) {
        self.tell_flushed();
        let mut bench = self.bench.borrow_mut();
        if bench.refused && !effects.is_empty() {
            let now = bench.world.now();
            bench.world.judge.violation(
                now,
                "S9",
                format!("{} effects were sent after the journal failed", effects.len()),
            );
        }
        for (id, effect) in effects {
            if !bench.switch.pass(Place::BeforeRequest) {
                return;
            }
            let mutates = effect.mutates();
            bench.world.send(vec![(id, effect)]);
            if !bench.switch.pass(Place::AfterRequest) {
                return;
            }
            if let (true, Some(phase)) = (mutates, self.watched.phase) {
                bench.switch.sent_in(phase);
            }
        }
    }

    fn compute(&mut self, state: &State, effect: &Effect) -> Option<Outcome> {
        self.plans.map_or_else(|| driver::compute(state, effect), |plans| plans.compute(state, effect))
    }

    fn observed(&mut self, entry: &Entry, state: &State) {
        self.tell_flushed();
        (self.progress)(Progress::Entry(entry, state));
        let last = self.watched.look(entry, state);
        let mut bench = self.bench.borrow_mut();
        bench.world.faults.phase = state.phase().name();
        if last {
            let stop = bench.world.now().plus(TAIL);
            let sooner = bench.world.stop_at.is_none_or(|at| stop < at);
            if sooner {
                bench.world.stop_at = Some(stop);
            }
        }
    }
}

/// Runs a scenario. The same scenario, seed and options give the same report.
///
/// # Errors
/// See [`RunError`]. Broken rules and leftovers are no errors: they are in the report.
pub fn run(scenario: Scenario, seed: u64, options: &RunOptions) -> Result<SimulationReport, RunError> {
    run_with(scenario, seed, options, &mut |_| {})
}

/// Runs a scenario and tells what happens on the way.
///
/// # Errors
/// See [`run`].
pub fn run_with(
    scenario: Scenario,
    seed: u64,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<SimulationReport, RunError> {
    examine(scenario, seed, options, progress).map(|(report, _)| report)
}

/// Runs a scenario for those who judge the run: its report, and what it leaves behind.
///
/// # Errors
/// See [`run`].
pub fn examine(
    scenario: Scenario,
    seed: u64,
    options: &RunOptions,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(SimulationReport, Evidence), RunError> {
    let policy = scenario.policy.clone();
    let limit = scenario.limit;
    let scenario_name = scenario.name.clone();
    let id = JournalId::derived(format!("simulation of {scenario_name} under seed {seed}"));
    let mut world = World::new(scenario, seed)?;
    world.judge.watch_journal();
    let (start, cost_before) = (world.now(), world.cost_per_hour());
    world.stop_at = Some(start.plus(limit));
    let disk = Disk::new(id, options.directory.clone(), options.disk.clone());
    let bench = Rc::new(RefCell::new(Bench {
        world,
        switch: Switch::new(options.crashes.clone()),
        acknowledged: 0,
        simulated: disk.simulated(),
        disk: Some(disk),
        written: Vec::new(),
        refused: false,
        turns: 0,
        flushed: None,
    }));
    let mut iterations = Iterations { wanted: options.iterations.max(1), ..Iterations::default() };
    let mut lives = 0;
    let (journal, state) = loop {
        lives += 1;
        let plans = options.plans.as_deref();
        let mut link = Link { bench: Rc::clone(&bench), progress: &mut *progress, watched: &mut iterations, plans };
        let ended = live(&bench, &mut link, id, (lives, options), &policy)?;
        link.tell_flushed();
        if let Some(ended) = ended {
            break ended;
        }
        let place = bench.borrow().switch.killed_at.last().copied().unwrap_or(Place::BeforeAppend);
        (link.progress)(Progress::Killed(place));
        let mut bench = bench.borrow_mut();
        let phase = bench.world.faults.phase;
        bench.switch.killed_in.push((place, phase));
        bench.switch.dead = false;
        bench.refused = false;
        bench.heard();
        bench.world.disconnect();
        // What a container's restart takes.
        let down = Millis(bench.world.rng.of("restarts").between(1_000, 15_000));
        bench.world.run_for(down);
        progress(Progress::Resumes(bench.world.now()));
    };
    let disk_calls = bench.borrow().simulated.as_ref().map_or(0, Struck::calls);
    bench.borrow_mut().compare(&journal);
    let lived = evidence::digest(&state);
    let replayed = replayed(&journal, &lived, options.recompute);
    let mut bench = bench.borrow_mut();
    let Bench { world, switch, .. } = &mut *bench;
    let now = world.now();
    world.judge.advance(now);
    let evidence = Evidence {
        state: lived,
        world: evidence::digest(world.cluster()),
        updates: world.judge.updates().clone(),
        worst: world.judge.worst(),
        nodes: evidence::nodes(world),
        unseen: evidence::unseen(world, &state),
        withheld: std::mem::take(&mut iterations.withheld),
        overmoved: iterations.overmoved,
        carried_on: iterations.carried_on,
        struck: world.faults.log.clone(),
        requests: world.faults.requests(),
        disk_calls,
        killed: std::mem::take(&mut switch.killed_in),
        phases: std::mem::take(&mut iterations.phases),
        last_change: world.judge.last_change().map(|at| at.since(start)),
        last_busy: iterations.last_busy.map(|at| at.since(start)),
    };
    let begun = (scenario_name, seed, start, cost_before);
    Ok((report(world, switch, &journal, &state, &iterations, replayed, begun), evidence))
}

/// Whether the journal gives this state again, and all that was computed on the way. What differs, for
/// people.
fn replayed(journal: &Watched, lived: &Digest, recompute: bool) -> Result<(), String> {
    let options = CheckOptions { restore: false, recompute, ..CheckOptions::default() };
    let report = replay::check(journal, &options, |_| ()).map_err(|error| error.to_string())?;
    if let Some(difference) = report.differences.first() {
        return Err(difference.to_string());
    }
    if report.state_digest.as_ref() == Some(lived) {
        return Ok(());
    }
    Err(format!("the state {lived} is {} when replayed", report.state_digest.as_deref().unwrap_or("none")))
}

/// One life of the daemon. `None` when it was killed.
fn live(
    bench: &Rc<RefCell<Bench>>,
    link: &mut Link<'_, '_>,
    id: JournalId,
    (epoch, options): (u64, &RunOptions),
    policy: &Policy,
) -> Result<Option<(Watched, State)>, RunError> {
    let Some(disk) = bench.borrow_mut().disk.take() else { return Ok(None) };
    bench.borrow().touch();
    let opened = match (disk.simulated(), options.disk.clone()) {
        (Some(simulated), Some(plan)) => disk.open(id).map_err(|error| (error, Some(Disk::Simulated(simulated, plan)))),
        _ => disk.open(id).map_err(|error| (error, None)),
    };
    let (store, tail_cut) = match opened {
        Ok(opened) => opened,
        // As in a real life: the daemon ends, and is started again.
        Err((OpenError::Io(_), Some(disk))) => {
            let mut bench = bench.borrow_mut();
            if let Some(simulated) = &bench.simulated {
                simulated.lose(true);
            }
            bench.disk = Some(disk);
            bench.switch.journal_failed();
            return Ok(None);
        }
        Err((error, _)) => return Err(Box::new(error).into()),
    };
    bench.borrow_mut().found(store.durable_last().map_or(0, |last| last.seq));
    let watched = Watched { store, bench: Rc::clone(bench) };
    let now = {
        let mut bench = bench.borrow_mut();
        bench.world.connect();
        bench.world.daemon_clock()
    };
    let identity = Identity {
        epoch,
        build: name(env!("CARGO_PKG_VERSION")),
        own_pod: None,
        policy: policy.clone(),
        tail_cut,
        behaviour: if epoch <= options.old_lives { BEHAVIOUR - 1 } else { BEHAVIOUR },
        checkpoint_every: options.checkpoint_every,
    };
    let ended = Driver::start(watched, link, identity, now).and_then(|mut driver| {
        let ended = driver.run();
        let (journal, _, state) = driver.into_parts();
        ended.map(|()| (journal, state))
    });
    // A disk that failed ends a life as a kill does.
    let failed = match &ended {
        Err(DriverError::Append(_)) => bench.borrow().simulated.is_some() && bench.borrow().refused,
        Err(DriverError::Fold(error)) => {
            bench.borrow().simulated.is_some() && matches!(**error, FoldError::Read(ReadError::Io(_)))
        }
        Err(DriverError::Step(_) | DriverError::TooManyEffects { .. }) | Ok(_) => false,
    };
    if failed && !bench.borrow().switch.dead {
        bench.borrow_mut().switch.journal_failed();
    }
    match ended {
        _ if bench.borrow().switch.dead => Ok(None),
        Ok(ended) => Ok(Some(ended)),
        Err(error) => Err(RunError::Driver(Box::new(error))),
    }
}

fn report(
    world: &World,
    switch: &Switch,
    journal: &Watched,
    state: &State,
    iterations: &Iterations,
    replayed: Result<(), String>,
    (scenario, seed, start, cost_before): (String, u64, Timestamp, MicroUsdPerHour),
) -> SimulationReport {
    let (iteration, mut ending, reason) = iterations.last.clone().unwrap_or((0, Ending::Untouched, None));
    let changing = matches!(
        state.phase().name(),
        PhaseName::Booting | PhaseName::Labelling | PhaseName::Rolling | PhaseName::Draining | PhaseName::Unwinding
    );
    if changing && state.iteration() > iteration && iterations.ended < iterations.wanted {
        ending = Ending::Unfinished;
    }
    let leftover_list = leftovers::list(world);
    let violation_list: Vec<String> = world.judge.violations().iter().map(ToString::to_string).collect();
    let span = world.now().since(start);
    let untouched = i128::from(cost_before.0) * i128::from(span.0) / 3_600_000;
    let deleted = world.judge.deleted_count();
    SimulationReport {
        scenario,
        seed,
        ending,
        reason,
        cost_per_hour_before: cost_before,
        planned_cost_per_hour: state.planned().map(|(_, planned)| planned.plan.cost_after),
        cost_per_hour_after: world.cost_per_hour(),
        lower_bound_per_hour: state.planned().map_or(MicroUsdPerHour(0), |(_, planned)| planned.plan.lower_bound),
        integrated_cost: world.integrated_cost(),
        reckoned_cost: state.ledger().total_at(world.now()),
        untouched_cost: MicroUsd(i64::try_from(untouched).unwrap_or(i64::MAX)),
        highest_cost_per_hour: world.judge.highest_cost(),
        crashes: u32::try_from(switch.killed_at.len()).unwrap_or(u32::MAX),
        journal_entries: journal.durable_last().map_or(0, |last| last.seq),
        replay_identical: replayed.is_ok(),
        replay_difference: replayed.err(),
        leftovers: leftover_list.len(),
        leftover_list,
        invariant_violations: violation_list.len(),
        violation_list,
        moves: iterations.moves,
        machines: (world.judge.created().count(), deleted),
        unavailable_pod_seconds: world.judge.unavailable_ms() / 1000,
        unavailable_list: world.judge.unavailable().into_iter().map(|(id, ms)| (id.to_string(), ms / 1000)).collect(),
        virtual_seconds: span.0 / 1000,
        crash_places: switch.log.len() as u64,
    }
}
