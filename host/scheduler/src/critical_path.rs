//! The longest chain of a job while it runs: by what its tasks took, have taken so far and are expected to
//! take. The critical path method (Kelley and Walker, 1959), with what is over taken as it was.

use crate::graph::topological_order;

/// One task's part of a chain, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leg {
    /// That its last attempt ran, or runs so far.
    pub spent: u64,
    /// That it is expected to run from now on; what nobody knows counts 0.
    pub left: u64,
}

/// Nanoseconds; tasks by their position among those given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticalPath {
    /// The longest sum of spent and left times along a chain.
    pub length: u64,
    /// The longest sum of left times along a chain: with room for everything, the job ends then.
    pub left: u64,
    /// By how much each task could take longer before the longest chain gets longer.
    pub slack: Vec<u64>,
    /// One longest chain, each task after the one that it waited for; among equal ones one that goes on
    /// for longer.
    pub path: Vec<u32>,
}

impl Leg {
    pub fn length(self) -> u64 {
        self.spent.saturating_add(self.left)
    }
}

/// `dependencies` are those of each task, by position; they form no cycle.
pub fn critical_path(dependencies: &[Vec<u32>], legs: &[Leg]) -> CriticalPath {
    let mut dependents = vec![Vec::new(); dependencies.len()];
    for (position, needed) in dependencies.iter().enumerate() {
        for &dependency in needed {
            dependents[dependency as usize].push(position as u32);
        }
    }
    let order = topological_order(dependencies, &dependents);
    let longest = |of: &[Vec<u32>], order: &mut dyn Iterator<Item = u32>, leg: fn(Leg) -> u64| {
        let mut ends = vec![0u64; legs.len()];
        for position in order.map(|it| it as usize) {
            let before = of[position].iter().map(|it| ends[*it as usize]).max().unwrap_or(0);
            ends[position] = before.saturating_add(leg(legs[position]));
        }
        ends
    };
    // To the end of each task, from its beginning, and from now to the end of each.
    let heads = longest(dependencies, &mut order.iter().copied(), Leg::length);
    let tails = longest(&dependents, &mut order.iter().rev().copied(), Leg::length);
    let lefts = longest(dependencies, &mut order.iter().copied(), |leg| leg.left);
    let length = heads.iter().copied().max().unwrap_or(0);
    let through = |position: usize| {
        heads[position].saturating_add(tails[position]).saturating_sub(legs[position].length())
    };
    CriticalPath {
        length,
        left: lefts.into_iter().max().unwrap_or(0),
        slack: (0..legs.len()).map(|position| length.saturating_sub(through(position))).collect(),
        path: walk(dependencies, &order, &heads),
    }
}

/// Back from the task that ends last, always to the one that was waited for longest. Of several the later one
/// in `order`: tasks of unknown length are on the way, too.
fn walk(dependencies: &[Vec<u32>], order: &[u32], heads: &[u64]) -> Vec<u32> {
    let mut places = vec![0; order.len()];
    order.iter().zip(0..).for_each(|(position, place)| places[*position as usize] = place);
    let lateness = |position: &u32| (heads[*position as usize], places[*position as usize]);
    let last = order.iter().copied().max_by_key(lateness);
    let before =
        |position: &u32| dependencies[*position as usize].iter().copied().max_by_key(lateness);
    let mut path: Vec<u32> = std::iter::successors(last, before).collect();
    path.reverse();
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(spent: u64) -> Leg {
        Leg { spent, left: 0 }
    }

    fn to_come(left: u64) -> Leg {
        Leg { spent: 0, left }
    }

    #[test]
    fn a_chain_beside_a_shorter_one_is_the_path_and_the_other_has_the_difference() {
        // 0 → 1 → 3, 0 → 2 → 3: 1 took 5, 2 has run 2 of 4.
        let dependencies = [vec![], vec![0], vec![0], vec![1, 2]];
        let legs = [done(3), done(5), Leg { spent: 2, left: 2 }, to_come(7)];
        let found = critical_path(&dependencies, &legs);
        assert_eq!((found.length, found.left), (15, 9));
        assert_eq!(found.slack, [0, 0, 1, 0]);
        assert_eq!(found.path, [0, 1, 3]);
    }

    #[test]
    fn tasks_without_any_time_are_no_trouble() {
        let found = critical_path(&[vec![1], vec![]], &[Leg::default(), Leg::default()]);
        assert_eq!((found.length, found.left, found.path), (0, 0, vec![1, 0]));
        let chain = [vec![], vec![0], vec![1]];
        assert_eq!(critical_path(&chain, &[Leg::default(); 3]).path, [0, 1, 2]);
        assert!(critical_path(&[], &[]).path.is_empty());
    }

    /// Against every chain there is, in small random graphs.
    #[test]
    fn it_never_differs_from_looking_at_every_chain() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..200 {
            let n = rng.usize(1..9);
            let above = |position: usize, rng: &mut fastrand::Rng| -> Vec<u32> {
                (0..position as u32).filter(|_| rng.u8(..3) == 0).collect()
            };
            let dependencies: Vec<Vec<u32>> = (0..n).map(|it| above(it, &mut rng)).collect();
            let leg = |_| Leg { spent: rng.u64(..10), left: rng.u64(..10) };
            let legs: Vec<Leg> = (0..n).map(leg).collect();
            let chains = chains(&dependencies);
            let sum = |chain: &[u32], of: fn(Leg) -> u64| -> u64 {
                chain.iter().map(|it| of(legs[*it as usize])).sum()
            };
            let longest = chains.iter().map(|it| sum(it, Leg::length)).max().unwrap();
            let found = critical_path(&dependencies, &legs);
            assert_eq!(found.length, longest);
            assert_eq!(found.left, chains.iter().map(|it| sum(it, |leg| leg.left)).max().unwrap());
            for (position, slack) in found.slack.iter().enumerate() {
                let with_it = chains.iter().filter(|it| it.contains(&(position as u32)));
                let most = with_it.map(|it| sum(it, Leg::length)).max().unwrap();
                assert_eq!(*slack, longest - most);
            }
            assert_eq!(sum(&found.path, Leg::length), longest);
            let follows = |pair: &[u32]| dependencies[pair[1] as usize].contains(&pair[0]);
            assert!(found.path.windows(2).all(follows), "{:?}", found.path);
        }
    }

    /// All of them, from each task that waits for none to any task.
    fn chains(dependencies: &[Vec<u32>]) -> Vec<Vec<u32>> {
        let mut all: Vec<Vec<u32>> = Vec::new();
        for (position, needed) in dependencies.iter().enumerate() {
            let mut longer: Vec<Vec<u32>> = Vec::new();
            for chain in all.iter().filter(|it| it.last().is_some_and(|it| needed.contains(it))) {
                longer.push(chain.iter().copied().chain([position as u32]).collect());
            }
            if needed.is_empty() {
                longer.push(vec![position as u32]);
            }
            all.extend(longer);
        }
        all
    }
}
