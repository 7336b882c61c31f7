//! The processes of a network, and what they said.

use anyhow::{Context as _, Result, bail};
use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// A final block as a process reported it.
#[derive(Clone, Copy)]
pub(crate) struct Final {
    pub(crate) at: Instant,
    pub(crate) height: u64,
    pub(crate) transactions: u64,
    pub(crate) certified: bool,
    /// From proposal to finality, where the process was the proposer.
    pub(crate) own: Option<Duration>,
}

/// Everything that a process reported since its start.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) finals: Vec<Final>,
    pub(crate) latencies: Vec<(Instant, Duration)>,
}

pub(crate) struct Process {
    child: Child,
    report: Arc<Mutex<Report>>,
}

pub(crate) struct Cluster {
    pub(crate) processes: Vec<Option<Process>>,
    directory: PathBuf,
    port: u16,
    interval: Duration,
    max_block: usize,
}

impl Cluster {
    pub(crate) fn start(size: usize, interval: Duration, max_block: usize) -> Result<Self> {
        let directory = env::temp_dir().join(format!("engine-spike-{}", std::process::id()));
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        let port = 20_000 + (std::process::id() % 1000) as u16 * 10;
        let processes = (0..size).map(|_| None).collect();
        let mut cluster = Self {
            processes,
            directory,
            port,
            interval,
            max_block,
        };
        for number in 0..size {
            cluster.launch(number)?;
        }
        for number in 0..size {
            cluster.wait_for(number, 2)?;
        }
        Ok(cluster)
    }

    pub(crate) fn launch(&mut self, number: usize) -> Result<()> {
        let mut child = Command::new(env::current_exe()?)
            .arg("validator")
            .arg(number.to_string())
            .arg(self.processes.len().to_string())
            .arg(self.port.to_string())
            .arg(self.directory.join(number.to_string()))
            .arg(self.interval.as_millis().to_string())
            .arg(self.max_block.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().context("standard output")?).lines();
        let report = Arc::<Mutex<Report>>::default();
        let shared = Arc::clone(&report);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                guard(&shared).take(&line);
            }
        });
        self.processes[number] = Some(Process { child, report });
        Ok(())
    }

    pub(crate) fn kill(&mut self, number: usize) -> Result<()> {
        let mut process = self.processes[number].take().context("it runs")?;
        process.child.kill()?;
        process.child.wait()?;
        Ok(())
    }

    pub(crate) fn order(&mut self, number: usize, order: &str) -> Result<()> {
        let process = self.processes[number].as_mut().context("it runs")?;
        let input = process.child.stdin.as_mut().context("standard input")?;
        Ok(writeln!(input, "{order}")?)
    }

    pub(crate) fn order_all(&mut self, order: &str) -> Result<()> {
        (0..self.processes.len())
            .filter(|number| self.processes[*number].is_some())
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|number| self.order(number, order))
    }

    pub(crate) fn height(&self, number: usize) -> u64 {
        self.process(number).map_or(0, |process| {
            guard(&process.report)
                .finals
                .last()
                .map_or(0, |last| last.height)
        })
    }

    pub(crate) fn wait_for(&self, number: usize, height: u64) -> Result<()> {
        let start = Instant::now();
        while self.height(number) < height {
            if start.elapsed() > Duration::from_secs(120) {
                bail!("validator {number} did not reach {height}");
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    pub(crate) fn process(&self, number: usize) -> Option<&Process> {
        self.processes[number].as_ref()
    }

    /// Bytes on disk of one validator.
    pub(crate) fn disk(&self, number: usize) -> Result<u64> {
        let mut folders = vec![self.directory.join(number.to_string())];
        let mut bytes = 0;
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else {
                    bytes += entry.metadata()?.len();
                }
            }
        }
        Ok(bytes)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().flatten() {
            // Measured is measured: what cannot be cleaned up stays in the temporary folder.
            let _killed = process.child.kill();
            let _waited = process.child.wait();
        }
        let _removed = fs::remove_dir_all(&self.directory);
    }
}

impl Process {
    pub(crate) fn report(&self) -> MutexGuard<'_, Report> {
        guard(&self.report)
    }

    /// Processor time used since the start.
    pub(crate) fn processor(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<_> = stat
            .rsplit(") ")
            .next()
            .unwrap_or_default()
            .split(' ')
            .collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Memory in use, in KiB.
    pub(crate) fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line
            .context("VmRSS")?
            .trim()
            .trim_end_matches(" kB")
            .parse()?)
    }
}

impl Report {
    fn take(&mut self, line: &str) {
        let at = Instant::now();
        let (kind, rest) = line.split_at(line.len().min(2));
        let numbers: Vec<u64> = rest
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        match (kind, numbers.as_slice()) {
            ("T ", [latency]) => self.latencies.push((at, Duration::from_micros(*latency))),
            ("B ", [height, transactions, certified, own]) => self.finals.push(Final {
                at,
                height: *height,
                transactions: *transactions,
                certified: *certified == 1,
                own: (*own > 0).then(|| Duration::from_micros(*own)),
            }),
            _ => {}
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
