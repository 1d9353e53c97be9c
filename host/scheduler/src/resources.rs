//! Resources, in integers only: what a task asks for, what a worker has and what of it is free.

use std::fmt;

/// What a task asks for. Never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Request {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Thousandths of a device: below 1000 a share of one device, else a multiple of 1000.
    pub gpu_milli: u32,
}

/// What a worker offers as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Capacity {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Bytes.
    pub memory: u64,
    /// Number of devices.
    pub gpus: u16,
}

/// Capacity not held by a current attempt. Devices are counted one by one, never summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Free {
    pub cpu_milli: u64,
    pub memory: u64,
    /// Free thousandths of each device.
    pub gpu_milli: Vec<u16>,
    summary: GpuSummary,
}

/// The two numbers that decide whether a device request fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct GpuSummary {
    whole: u16,
    largest_part: u16,
}

/// The largest amounts free on any one worker of a group: a bound by which groups are skipped.
/// What fits nowhere below the bound fits no worker of the group; the reverse need not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FreeBound {
    pub cpu_milli: u64,
    pub memory: u64,
    pub gpus_whole: u16,
    pub gpu_part: u16,
}

/// The devices an attempt holds: indexes of whole devices, or one index for a share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Devices {
    pub indexes: Vec<u16>,
    /// Thousandths held of each device in `indexes`.
    pub milli_each: u16,
}

const DEVICE: u16 = 1000;

impl Capacity {
    /// Whether the request would fit on this worker if nothing else ran there.
    pub fn could_ever_fit(&self, request: &Request) -> bool {
        request.cpu_milli <= self.cpu_milli
            && request.memory <= self.memory
            && request.gpu_milli <= u32::from(self.gpus) * u32::from(DEVICE)
    }
}

impl Free {
    pub fn all_of(capacity: &Capacity) -> Free {
        let mut free = Free {
            cpu_milli: capacity.cpu_milli,
            memory: capacity.memory,
            gpu_milli: vec![DEVICE; usize::from(capacity.gpus)],
            summary: GpuSummary::default(),
        };
        free.summarise();
        free
    }

    pub fn fits(&self, request: &Request) -> bool {
        self.bound().may_fit(request)
    }

    /// For one worker the bound is exact.
    pub fn bound(&self) -> FreeBound {
        FreeBound {
            cpu_milli: self.cpu_milli,
            memory: self.memory,
            gpus_whole: self.summary.whole,
            gpu_part: self.summary.largest_part,
        }
    }

    /// Takes the request out of the free capacity. Shares go to the fullest device that holds them.
    ///
    /// # Panics
    /// If the request does not fit: the caller has just checked.
    pub fn take(&mut self, request: &Request) -> Devices {
        assert!(self.fits(request), "a placement never exceeds the free capacity");
        self.cpu_milli -= request.cpu_milli;
        self.memory -= request.memory;
        let devices = self.choose_devices(request.gpu_milli);
        for &index in &devices.indexes {
            self.gpu_milli[usize::from(index)] -= devices.milli_each;
        }
        if !devices.indexes.is_empty() {
            self.summarise();
        }
        devices
    }

    /// Takes devices that a recovered attempt is known to hold. False if they are not free.
    pub fn take_exactly(&mut self, request: &Request, devices: &Devices) -> bool {
        let held = |index: &u16| {
            self.gpu_milli.get(usize::from(*index)).is_some_and(|free| *free >= devices.milli_each)
        };
        if request.cpu_milli > self.cpu_milli
            || request.memory > self.memory
            || !devices.indexes.iter().all(held)
        {
            return false;
        }
        self.cpu_milli -= request.cpu_milli;
        self.memory -= request.memory;
        for &index in &devices.indexes {
            self.gpu_milli[usize::from(index)] -= devices.milli_each;
        }
        self.summarise();
        true
    }

    pub fn give_back(&mut self, request: &Request, devices: &Devices) {
        self.cpu_milli += request.cpu_milli;
        self.memory += request.memory;
        for &index in &devices.indexes {
            self.gpu_milli[usize::from(index)] += devices.milli_each;
        }
        if !devices.indexes.is_empty() {
            self.summarise();
        }
    }

    fn choose_devices(&self, gpu_milli: u32) -> Devices {
        let indexed = || self.gpu_milli.iter().copied().enumerate();
        if gpu_milli == 0 {
            return Devices::default();
        }
        if gpu_milli < u32::from(DEVICE) {
            let share = gpu_milli as u16;
            let fullest =
                indexed().filter(|(_, free)| *free >= share).min_by_key(|(_, free)| *free);
            let (index, _) = fullest.expect("the request was checked to fit");
            return Devices { indexes: vec![index as u16], milli_each: share };
        }
        let n_devices = (gpu_milli / u32::from(DEVICE)) as usize;
        let whole = indexed().filter(|(_, free)| *free == DEVICE).take(n_devices);
        Devices { indexes: whole.map(|(index, _)| index as u16).collect(), milli_each: DEVICE }
    }

    fn summarise(&mut self) {
        self.summary = GpuSummary {
            whole: self.gpu_milli.iter().filter(|free| **free == DEVICE).count() as u16,
            largest_part: self.gpu_milli.iter().copied().max().unwrap_or(0),
        };
    }
}

impl FreeBound {
    pub fn may_fit(&self, request: &Request) -> bool {
        let gpu_fits = match request.gpu_milli {
            0 => true,
            share if share < u32::from(DEVICE) => share <= u32::from(self.gpu_part),
            whole => whole / u32::from(DEVICE) <= u32::from(self.gpus_whole),
        };
        request.cpu_milli <= self.cpu_milli && request.memory <= self.memory && gpu_fits
    }

    pub fn max(self, other: FreeBound) -> FreeBound {
        FreeBound {
            cpu_milli: self.cpu_milli.max(other.cpu_milli),
            memory: self.memory.max(other.memory),
            gpus_whole: self.gpus_whole.max(other.gpus_whole),
            gpu_part: self.gpu_part.max(other.gpu_part),
        }
    }
}

impl Request {
    /// Whether every amount is at least that of `other`: if `other` does not fit, neither does this.
    pub fn covers(&self, other: &Request) -> bool {
        self.cpu_milli >= other.cpu_milli
            && self.memory >= other.memory
            && self.gpu_milli >= other.gpu_milli
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cpu {}, memory {} B", self.cpu_milli as f64 / 1000.0, self.memory)?;
        if self.gpu_milli > 0 {
            write!(f, ", gpu {}", f64::from(self.gpu_milli) / 1000.0)?;
        }
        Ok(())
    }
}
