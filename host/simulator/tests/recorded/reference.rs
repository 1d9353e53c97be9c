//! A list scheduler that shares nothing with the production one but the job: one-slot workers, start
//! whatever is first in order whenever a slot is free, completions before starts.

use pointsman_simulator::workload::WorkJob;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// By (time of becoming ready, position).
    Fifo,
    /// By (bottom level descending, position).
    BottomLevel,
}

/// Start and end of each task, nanoseconds, by position.
pub fn schedule(job: &WorkJob, n_slots: usize, order: Order) -> Vec<(u64, u64)> {
    let tasks = &job.spec.tasks;
    let positions: HashMap<&str, usize> =
        tasks.iter().enumerate().map(|(i, task)| (task.name.as_str(), i)).collect();
    let parents: Vec<BTreeSet<usize>> = tasks
        .iter()
        .map(|task| task.dependencies.iter().map(|name| positions[name.as_str()]).collect())
        .collect();
    let mut children = vec![Vec::new(); tasks.len()];
    for (child, parents) in parents.iter().enumerate() {
        for &parent in parents {
            children[parent].push(child);
        }
    }
    let levels = bottom_levels(job, &children);
    let key = |task: usize, now: u64| match order {
        Order::Fifo => (now, task),
        Order::BottomLevel => (u64::MAX - levels[task], task),
    };
    let mut n_missing: Vec<usize> = parents.iter().map(BTreeSet::len).collect();
    let mut ready: BTreeMap<(u64, usize), usize> = BTreeMap::new();
    for task in (0..tasks.len()).filter(|task| n_missing[*task] == 0) {
        ready.insert(key(task, 0), task);
    }
    let mut ends = BinaryHeap::new();
    let mut schedule = vec![(u64::MAX, u64::MAX); tasks.len()];
    let mut now = 0;
    loop {
        while ends.len() < n_slots
            && let Some((_, task)) = ready.pop_first()
        {
            let end = now + job.run_times[task];
            schedule[task] = (now, end);
            ends.push(Reverse((end, task)));
        }
        let Some(&Reverse((next, _))) = ends.peek() else { break };
        now = next;
        while let Some(&Reverse((end, task))) = ends.peek()
            && end == now
        {
            ends.pop();
            for &child in &children[task] {
                n_missing[child] -= 1;
                if n_missing[child] == 0 {
                    ready.insert(key(child, now), child);
                }
            }
        }
    }
    assert!(schedule.iter().all(|(start, _)| *start != u64::MAX), "the job is acyclic");
    schedule
}

/// Own run time and the largest bottom level of a child.
fn bottom_levels(job: &WorkJob, children: &[Vec<usize>]) -> Vec<u64> {
    let mut levels = vec![None; children.len()];
    for root in 0..children.len() {
        let mut stack = vec![root];
        while let Some(&task) = stack.last() {
            let unknown = children[task].iter().copied().filter(|child| levels[*child].is_none());
            let unknown: Vec<usize> = unknown.collect();
            if unknown.is_empty() {
                let below = children[task].iter().filter_map(|child| levels[*child]).max();
                levels[task] = Some(job.run_times[task] + below.unwrap_or(0));
                stack.pop();
            } else {
                stack.extend(unknown);
            }
        }
    }
    levels.into_iter().map(|level| level.expect("every task was visited")).collect()
}
