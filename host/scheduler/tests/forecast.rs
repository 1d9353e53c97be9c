//! What is foretold of workers: in force until something else is, and only of those who are there.

mod world;

use pointsman_scheduler::columns::WorkerColumn;
use pointsman_scheduler::event::Forecast;
use pointsman_scheduler::*;
use world::*;

const COLUMN: WorkerColumn = WorkerColumn::PredictedCpuUsed;

fn foretell(world: &mut World, values: &[(WorkerId, f64)]) {
    let workers = values.iter().map(|(worker, value)| (*worker, vec![*value])).collect();
    let forecast = Forecast { horizon_ms: 60_000.0, columns: vec![COLUMN], workers };
    world.event(Event::Forecast(forecast));
}

/// The foretold column and the horizon of each worker that is there; NaN as a text, to be compared.
fn seen(world: &World) -> Vec<[String; 2]> {
    let (workers, lists) = world.scheduler.live_columns(&[COLUMN, WorkerColumn::PredictedMs]);
    let of = |row: usize| [lists[0][row].to_string(), lists[1][row].to_string()];
    (0..workers.len()).map(of).collect()
}

#[test]
fn a_forecast_is_a_column_until_the_next_and_each_one_replaces_all_before() {
    let mut world = World::new();
    let (one, two) = (world.worker("one", 4), world.worker("two", 4));
    let nothing = || ["NaN".to_owned(), "NaN".to_owned()];
    assert_eq!(seen(&world), [nothing(), nothing()]);
    foretell(&mut world, &[(one, 0.75), (two, 0.25), (WorkerId(77), 0.5)]);
    let of = |value: &str| [value.to_owned(), "60000".to_owned()];
    assert_eq!(seen(&world), [of("0.75"), of("0.25")]);
    foretell(&mut world, &[(two, 0.5)]);
    assert_eq!(seen(&world), [nothing(), of("0.5")]);
    world.event(Event::Forecast(Forecast::default()));
    assert_eq!(seen(&world), [nothing(), nothing()]);
}

#[test]
fn workers_are_scored_again_when_something_else_is_foretold() {
    let mut world = World::new();
    world.policies.scores_by = COLUMN;
    let (one, two) = (world.worker("one", 4), world.worker("two", 4));
    foretell(&mut world, &[(one, 0.75), (two, 0.25)]);
    world.submit(vec![cpus("first", 1000)]);
    foretell(&mut world, &[(one, 0.25), (two, 0.75)]);
    world.submit(vec![cpus("second", 1000)]);
    let went: Vec<WorkerId> = world.started.iter().map(|start| start.worker).collect();
    assert_eq!(went, [two, one]);
}
