//! An ordered set of workers, best first, in which the first that fits a request is found without
//! looking at those that cannot.
//!
//! A treap over worker indexes: keys are (score, load, id), every node also carries the largest
//! free amounts below it, so that whole subtrees are skipped. Priorities are a hash of the index:
//! the shape depends on nothing but the content.

use crate::resources::{FreeBound, Request};
use crate::worker::WorkerIdx;
use std::cmp::Ordering;

/// The order of workers: higher score first, then lower load, then lower id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WorkerKey {
    pub score: f64,
    /// Committed share of the scarcest resource, millionths.
    pub load: u32,
    pub worker: WorkerIdx,
}

#[derive(Debug)]
pub(crate) struct WorkerIndex {
    nodes: Vec<Node>,
    root: u32,
}

const NIL: u32 = u32::MAX;

#[derive(Debug, Clone)]
struct Node {
    key: WorkerKey,
    free: FreeBound,
    below: FreeBound,
    left: u32,
    right: u32,
    priority: u32,
    present: bool,
}

impl WorkerKey {
    pub fn compare(&self, other: &WorkerKey) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.load.cmp(&other.load))
            .then(self.worker.cmp(&other.worker))
    }

    fn is_before(&self, other: &WorkerKey) -> bool {
        self.compare(other).is_lt()
    }
}

impl WorkerIndex {
    pub fn new() -> WorkerIndex {
        WorkerIndex { nodes: Vec::new(), root: NIL }
    }

    /// Puts the worker at its key, replacing where it was.
    pub fn insert(&mut self, key: WorkerKey, free: FreeBound) {
        self.remove(key.worker);
        let slot = key.worker.slot();
        if self.nodes.len() <= slot {
            self.nodes.resize_with(slot + 1, || Node::absent(key));
        }
        self.nodes[slot] = Node {
            key,
            free,
            below: free,
            left: NIL,
            right: NIL,
            priority: scramble(slot as u32),
            present: true,
        };
        self.root = self.insert_below(self.root, slot as u32);
    }

    pub fn remove(&mut self, worker: WorkerIdx) {
        let slot = worker.slot();
        if self.nodes.get(slot).is_some_and(|node| node.present) {
            let key = self.nodes[slot].key;
            self.root = self.remove_below(self.root, &key);
            self.nodes[slot].present = false;
        }
    }

    /// Calls `visit` for workers that fit, best first, until it answers false.
    pub fn for_each_fitting(&self, request: &Request, mut visit: impl FnMut(&WorkerKey) -> bool) {
        self.walk(self.root, request, &mut visit);
    }

    /// False: stop. The depth is logarithmic in the number of workers.
    fn walk(&self, at: u32, request: &Request, visit: &mut impl FnMut(&WorkerKey) -> bool) -> bool {
        if at == NIL {
            return true;
        }
        let node = &self.nodes[at as usize];
        if !node.below.may_fit(request) {
            return true;
        }
        self.walk(node.left, request, visit)
            && (!node.free.may_fit(request) || visit(&node.key))
            && self.walk(node.right, request, visit)
    }

    fn insert_below(&mut self, at: u32, new: u32) -> u32 {
        if at == NIL {
            return new;
        }
        if self.nodes[new as usize].priority > self.nodes[at as usize].priority {
            let key = self.nodes[new as usize].key;
            let (left, right) = self.split(at, &key);
            self.nodes[new as usize].left = left;
            self.nodes[new as usize].right = right;
            self.summarise(new);
            return new;
        }
        if self.nodes[new as usize].key.is_before(&self.nodes[at as usize].key) {
            let left = self.insert_below(self.nodes[at as usize].left, new);
            self.nodes[at as usize].left = left;
        } else {
            let right = self.insert_below(self.nodes[at as usize].right, new);
            self.nodes[at as usize].right = right;
        }
        self.summarise(at);
        at
    }

    fn remove_below(&mut self, at: u32, key: &WorkerKey) -> u32 {
        if at == NIL {
            return NIL;
        }
        let (left, right, here) = {
            let node = &self.nodes[at as usize];
            (node.left, node.right, node.key)
        };
        if here.worker == key.worker {
            return self.merge(left, right);
        }
        if key.is_before(&here) {
            let left = self.remove_below(left, key);
            self.nodes[at as usize].left = left;
        } else {
            let right = self.remove_below(right, key);
            self.nodes[at as usize].right = right;
        }
        self.summarise(at);
        at
    }

    /// The nodes before `key` and the others.
    fn split(&mut self, at: u32, key: &WorkerKey) -> (u32, u32) {
        if at == NIL {
            return (NIL, NIL);
        }
        if self.nodes[at as usize].key.is_before(key) {
            let (low, high) = self.split(self.nodes[at as usize].right, key);
            self.nodes[at as usize].right = low;
            self.summarise(at);
            (at, high)
        } else {
            let (low, high) = self.split(self.nodes[at as usize].left, key);
            self.nodes[at as usize].left = high;
            self.summarise(at);
            (low, at)
        }
    }

    fn merge(&mut self, left: u32, right: u32) -> u32 {
        if left == NIL || right == NIL {
            return if left == NIL { right } else { left };
        }
        if self.nodes[left as usize].priority > self.nodes[right as usize].priority {
            let merged = self.merge(self.nodes[left as usize].right, right);
            self.nodes[left as usize].right = merged;
            self.summarise(left);
            left
        } else {
            let merged = self.merge(left, self.nodes[right as usize].left);
            self.nodes[right as usize].left = merged;
            self.summarise(right);
            right
        }
    }

    fn summarise(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let mut below = node.free;
        for child in [node.left, node.right] {
            if child != NIL {
                below = below.max(self.nodes[child as usize].below);
            }
        }
        self.nodes[at as usize].below = below;
    }
}

impl Node {
    fn absent(key: WorkerKey) -> Node {
        let free = FreeBound::default();
        Node { key, free, below: free, left: NIL, right: NIL, priority: 0, present: false }
    }
}

/// A bijection that looks random (Murmur3's finaliser).
fn scramble(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn bound(cpu_milli: u64) -> FreeBound {
        FreeBound { cpu_milli, memory: 100, gpus_whole: 0, gpu_part: 0 }
    }

    /// Against a sorted list, over random changes.
    #[test]
    fn order_and_fit_equal_those_of_a_plain_list() {
        let mut random = Random::seeded(3);
        let mut index = WorkerIndex::new();
        let mut list: Vec<Option<(WorkerKey, FreeBound)>> = vec![None; 50];
        for _ in 0..5000 {
            let worker = WorkerIdx((random.next_u64() % 50) as u32);
            if random.next_u64().is_multiple_of(4) {
                index.remove(worker);
                list[worker.slot()] = None;
            } else {
                let score = (random.next_u64() % 5) as f64 / 4.0;
                let key = WorkerKey { score, load: (random.next_u64() % 3) as u32, worker };
                let free = bound(random.next_u64() % 8);
                index.insert(key, free);
                list[worker.slot()] = Some((key, free));
            }
            let request = Request { cpu_milli: random.next_u64() % 8, memory: 1, gpu_milli: 0 };
            let mut expected: Vec<WorkerKey> = list
                .iter()
                .flatten()
                .filter(|(_, free)| free.may_fit(&request))
                .map(|(key, _)| *key)
                .collect();
            expected.sort_by(WorkerKey::compare);
            let mut found = Vec::new();
            index.for_each_fitting(&request, |key| {
                found.push(*key);
                true
            });
            assert_eq!(found, expected);
        }
    }
}
