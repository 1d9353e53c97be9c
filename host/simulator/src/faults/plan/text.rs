//! Plans as scripts: a line for each thing, of words and `key=value`. `#` begins a comment.

use super::{Ask, Fault, JobPlan, Plan, Rates, TaskPlan, Wish, WorkerPlan};
use crate::faults::kind::FaultKind;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};
use std::str::FromStr;

/// Why a script is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ScriptError {
    pub line: usize,
    pub problem: String,
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { name, seed, active_ms, rates, workers, jobs, asks, faults } = self;
        let Rates { loss, duplication, delay, policy_failures } = rates;
        writeln!(f, "world name={name} seed={seed} active={active_ms}")?;
        writeln!(
            f,
            "rates loss={loss} duplication={duplication} delay={delay} \
             policy-failures={policy_failures}"
        )?;
        for WorkerPlan { cpu_milli, memory_mb, drift_ppm } in workers {
            writeln!(f, "worker cpu={cpu_milli} memory={memory_mb} drift={drift_ppm}")?;
        }
        for job in jobs {
            writeln!(f, "job at={}", job.at_ms)?;
            job.tasks.iter().try_for_each(|task| writeln!(f, "  {}", task_line(task)))?;
        }
        for Ask { at_ms, wish } in asks {
            writeln!(f, "ask at={at_ms} {}", wish_words(wish))?;
        }
        faults.iter().try_for_each(|fault| writeln!(f, "{}", fault_line(fault)))
    }
}

fn task_line(task: &TaskPlan) -> String {
    let TaskPlan {
        ms,
        fail_percent,
        cpu_milli,
        memory_mb,
        priority,
        timeout_ms,
        max_retries,
        max_worker_losses,
        stops_on_disconnect,
        kills_worker,
        dependencies,
    } = task;
    let mut line = format!("task ms={ms} cpu={cpu_milli} memory={memory_mb}");
    let numbers = [
        ("timeout", *timeout_ms),
        ("retries", max_retries.map(u64::from)),
        ("losses", max_worker_losses.map(u64::from)),
        ("fail", (*fail_percent > 0).then_some(*fail_percent)),
    ];
    for (name, number) in numbers {
        number.iter().for_each(|it| push(&mut line, format_args!(" {name}={it}")));
    }
    if *priority != 0 {
        push(&mut line, format_args!(" priority={priority}"));
    }
    for (word, is_said) in [("stops", stops_on_disconnect), ("kills", kills_worker)] {
        if *is_said {
            push(&mut line, format_args!(" {word}=yes"));
        }
    }
    if !dependencies.is_empty() {
        push(&mut line, format_args!(" after={}", list(dependencies)));
    }
    line
}

fn wish_words(wish: &Wish) -> String {
    match wish {
        Wish::CancelTask { job, task } => format!("cancel job={job} task={task}"),
        Wish::CancelJob { job } => format!("cancel-job job={job}"),
        Wish::RetryTask { job, task } => format!("retry job={job} task={task}"),
        Wish::PauseQueue { paused: true } => "pause".to_owned(),
        Wish::PauseQueue { paused: false } => "resume".to_owned(),
        Wish::DrainWorker { worker, draining: true } => format!("drain worker={worker}"),
        Wish::DrainWorker { worker, draining: false } => format!("undrain worker={worker}"),
    }
}

fn fault_line(fault: &Fault) -> String {
    let Fault { at_ms, kind, workers, lasts_ms, step_ms } = fault;
    let mut line = format!("fault at={at_ms} {} lasts={lasts_ms}", kind.name());
    if !workers.is_empty() {
        push(&mut line, format_args!(" workers={}", list(workers)));
    }
    if *step_ms != 0 {
        push(&mut line, format_args!(" step={step_ms}"));
    }
    line
}

fn push(line: &mut String, text: fmt::Arguments<'_>) {
    line.write_fmt(text).expect("a string takes everything");
}

fn list(numbers: &[usize]) -> String {
    let texts: Vec<String> = numbers.iter().map(usize::to_string).collect();
    texts.join(",")
}

impl FromStr for Plan {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Plan, ScriptError> {
        let mut plan = Plan::quiet("script", &[]);
        for (index, line) in text.lines().enumerate() {
            let line_of = |problem| ScriptError { line: index + 1, problem };
            plan.take_line(line).map_err(line_of)?;
        }
        let n_lines = text.lines().count();
        plan.check().map_err(|problem| ScriptError { line: n_lines, problem })?;
        Ok(plan)
    }
}

impl Plan {
    fn take_line(&mut self, line: &str) -> Result<(), String> {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = Words::read(line)?;
        let Some(first) = words.next_word() else { return words.end() };
        match first.as_str() {
            "world" => {
                self.name = words.take("name")?.unwrap_or_else(|| self.name.clone());
                self.seed = words.take("seed")?.unwrap_or(self.seed);
                self.active_ms = words.take("active")?.unwrap_or(self.active_ms);
            }
            "rates" => {
                let mut rate = |name: &str| words.take(name).map(Option::unwrap_or_default);
                let (loss, duplication) = (rate("loss")?, rate("duplication")?);
                let (delay, policy_failures) = (rate("delay")?, rate("policy-failures")?);
                self.rates = Rates { loss, duplication, delay, policy_failures };
            }
            "worker" => self.workers.push(WorkerPlan {
                cpu_milli: words.need("cpu")?,
                memory_mb: words.take("memory")?.unwrap_or(8_000),
                drift_ppm: words.take("drift")?.unwrap_or(0),
            }),
            "job" => self.jobs.push(JobPlan { at_ms: words.need("at")?, tasks: Vec::new() }),
            "task" => {
                let task = read_task(&mut words)?;
                self.jobs.last_mut().ok_or("a task comes after its job")?.tasks.push(task);
            }
            "ask" => self.asks.push(Ask { at_ms: words.need("at")?, wish: read_wish(&mut words)? }),
            "fault" => self.faults.push(read_fault(&mut words)?),
            other => return Err(format!("nothing is called {other:?}")),
        }
        words.end()
    }

    /// Whatever is named has to be there.
    fn check(&self) -> Result<(), String> {
        let has_worker = |worker: usize| match self.workers.get(worker) {
            Some(_) => Ok(()),
            None => Err(format!("there is no worker {worker}")),
        };
        let has_task = |job: usize, task: usize| {
            let found = self.jobs.get(job).and_then(|it| it.tasks.get(task));
            found.map(|_| ()).ok_or_else(|| format!("there is no task {task} of job {job}"))
        };
        for fault in &self.faults {
            fault.workers.iter().try_for_each(|it| has_worker(*it))?;
        }
        for ask in &self.asks {
            match ask.wish {
                Wish::CancelTask { job, task } | Wish::RetryTask { job, task } => {
                    has_task(job, task)?;
                }
                Wish::CancelJob { job } => has_task(job, 0)?,
                Wish::PauseQueue { .. } => {}
                Wish::DrainWorker { worker, .. } => has_worker(worker)?,
            }
        }
        for (n, job) in self.jobs.iter().enumerate() {
            has_task(n, 0)?;
            for (index, task) in job.tasks.iter().enumerate() {
                if task.dependencies.iter().any(|it| *it >= index) {
                    return Err(format!("task {index} of job {n} waits for one that comes later"));
                }
            }
        }
        Ok(())
    }
}

fn read_task(words: &mut Words) -> Result<TaskPlan, String> {
    let usual = TaskPlan::default();
    Ok(TaskPlan {
        ms: words.take("ms")?.unwrap_or(usual.ms),
        fail_percent: words.take("fail")?.unwrap_or(usual.fail_percent),
        cpu_milli: words.take("cpu")?.unwrap_or(usual.cpu_milli),
        memory_mb: words.take("memory")?.unwrap_or(usual.memory_mb),
        priority: words.take("priority")?.unwrap_or(usual.priority),
        timeout_ms: words.take("timeout")?,
        max_retries: words.take("retries")?,
        max_worker_losses: words.take("losses")?,
        stops_on_disconnect: words.take_yes("stops")?,
        kills_worker: words.take_yes("kills")?,
        dependencies: words.take_list("after")?,
    })
}

fn read_wish(words: &mut Words) -> Result<Wish, String> {
    let wish = words.next_word().ok_or("ask for what?")?;
    Ok(match wish.as_str() {
        "cancel" => Wish::CancelTask { job: words.need("job")?, task: words.need("task")? },
        "cancel-job" => Wish::CancelJob { job: words.need("job")? },
        "retry" => Wish::RetryTask { job: words.need("job")?, task: words.need("task")? },
        "pause" => Wish::PauseQueue { paused: true },
        "resume" => Wish::PauseQueue { paused: false },
        "drain" => Wish::DrainWorker { worker: words.need("worker")?, draining: true },
        "undrain" => Wish::DrainWorker { worker: words.need("worker")?, draining: false },
        other => return Err(format!("nobody can ask for {other:?}")),
    })
}

fn read_fault(words: &mut Words) -> Result<Fault, String> {
    let name = words.next_word().ok_or("which fault?")?;
    let kind = FaultKind::find(&name).ok_or_else(|| format!("no fault is called {name:?}"))?;
    Ok(Fault {
        at_ms: words.need("at")?,
        kind,
        workers: words.take_list("workers")?,
        lasts_ms: words.take("lasts")?.unwrap_or(0),
        step_ms: words.take("step")?.unwrap_or(0),
    })
}

/// A line's words, and its values by name, until they are taken.
struct Words {
    words: std::collections::VecDeque<String>,
    values: BTreeMap<String, String>,
}

impl Words {
    fn read(line: &str) -> Result<Words, String> {
        let (mut words, mut values) = (std::collections::VecDeque::new(), BTreeMap::new());
        for word in line.split_whitespace() {
            match word.split_once('=') {
                None => words.push_back(word.to_owned()),
                Some((name, value)) => {
                    if values.insert(name.to_owned(), value.to_owned()).is_some() {
                        return Err(format!("{name} is said twice"));
                    }
                }
            }
        }
        Ok(Words { words, values })
    }

    fn next_word(&mut self) -> Option<String> {
        self.words.pop_front()
    }

    fn take<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.values.remove(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name}={text} is no such value"))
    }

    fn need<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.take(name)?.ok_or_else(|| format!("{name}=… is missing"))
    }

    fn take_yes(&mut self, name: &str) -> Result<bool, String> {
        match self.values.remove(name).as_deref() {
            None => Ok(false),
            Some("yes") => Ok(true),
            Some(other) => Err(format!("{name}={other}: say yes or leave it out")),
        }
    }

    fn take_list(&mut self, name: &str) -> Result<Vec<usize>, String> {
        let Some(text) = self.values.remove(name) else { return Ok(Vec::new()) };
        let numbers = text.split(',').map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(|_| format!("{name}={text} is no list"))
    }

    fn end(self) -> Result<(), String> {
        let left = self.words.into_iter().chain(self.values.into_keys()).next();
        left.map_or(Ok(()), |it| Err(format!("{it:?} means nothing here")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Profile;

    #[test]
    fn a_script_says_all_of_a_plan() {
        for seed in 1..20 {
            let mut plan = Plan::draw(seed, &Profile::all());
            plan.jobs[0].tasks[0].kills_worker = true;
            plan.jobs[0].tasks[0].max_worker_losses = Some(1);
            let again: Plan = plan.to_string().parse().unwrap();
            assert_eq!(again, plan);
        }
    }

    #[test]
    fn no_mistake_in_a_script_is_passed_over() {
        let wrong = [
            "job at=1\n task ms=1 colour=red",
            "fault at=1 earthquake",
            "task ms=1",
            "worker cpu=many",
            "worker cpu=1 cpu=2",
            "fault at=1 worker-crash workers=3",
            "job at=1\n task ms=1 after=0",
            "ask at=1 cancel job=0 task=0",
        ];
        for text in wrong {
            assert!(text.parse::<Plan>().is_err(), "{text}");
        }
        assert!("# nothing\n\nworld seed=7 # yes".parse::<Plan>().is_ok());
    }
}
