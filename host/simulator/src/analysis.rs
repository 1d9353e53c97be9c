//! The shape of a job: what can be said of it before anything runs. Integers only.

use crate::workload::WorkJob;
use pointsman_scheduler::graph::{Graph, GraphError};

/// Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub n_tasks: usize,
    /// A dependency counts once.
    pub n_edges: usize,
    /// Levels: the largest number of tasks on a path.
    pub depth: usize,
    /// Tasks on the fullest level. A task's level is the largest number of tasks before it on a path.
    pub width: usize,
    /// Sum of all run times.
    pub work: u128,
    /// The largest sum of run times along a path.
    pub critical_path: u128,
}

impl Shape {
    /// # Errors
    /// If the job is not a DAG of uniquely named tasks.
    pub fn of(job: &WorkJob) -> Result<Shape, GraphError> {
        Ok(Shape::of_graph(&job.graph()?, &job.run_times))
    }

    fn of_graph(graph: &Graph, run_times: &[u64]) -> Shape {
        let n_tasks = graph.order.len();
        let mut levels = vec![0usize; n_tasks];
        let mut ends = vec![0u128; n_tasks];
        let mut n_on_level = Vec::new();
        for &position in &graph.order {
            let position = position as usize;
            let before = || graph.dependencies[position].iter().map(|it| *it as usize);
            let level = before().map(|it| levels[it] + 1).max().unwrap_or(0);
            let start = before().map(|it| ends[it]).max().unwrap_or(0);
            levels[position] = level;
            ends[position] = start + u128::from(run_times[position]);
            if n_on_level.len() <= level {
                n_on_level.resize(level + 1, 0);
            }
            n_on_level[level] += 1;
        }
        Shape {
            n_tasks,
            n_edges: graph.dependencies.iter().map(Vec::len).sum(),
            depth: n_on_level.len(),
            width: n_on_level.into_iter().max().unwrap_or(0),
            work: run_times.iter().copied().map(u128::from).sum(),
            critical_path: ends.into_iter().max().unwrap_or(0),
        }
    }

    /// No schedule on `n_slots` alike workers of one slot each ends earlier; rounded up.
    pub fn lower_bound(&self, n_slots: usize) -> u128 {
        self.critical_path.max(self.work.div_ceil(n_slots.max(1) as u128))
    }
}
