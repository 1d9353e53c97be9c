//! What a store promises, on every backend; and what it does when files, disks and processes fail.

mod conformance;
mod crash;
mod damage;
mod format;
mod full_disk;
mod histories;
mod history;
mod history_damage;
mod mended;
mod salvage;
mod samples;
mod shrinking;
mod site;
mod torn_log;
mod writer;
