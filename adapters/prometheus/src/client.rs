//! The client: two counts, two range queries, one window.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use journal_schema::effect::{Answer, Failure, FailureClass, FailureCode, Outcome};
use journal_schema::text::{Few, Many, Name};
use journal_schema::units::{Bytes, MilliCpu, Millis, Timestamp};
use journal_schema::usage::{ContainerSeries, UsageWindow};
use prometheus_http_query::Client;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::answer::{Container, Data, Envelope, bytes, milli_cpu};
use crate::failure::{broken, by_status, failed, unanswered};
use crate::query::{CPU, Grid, MEMORY, MOST_POINTS, count, cpu, memory};

/// What the operator configures about Prometheus.
#[derive(Clone, Debug)]
pub struct Config {
    /// Base address, for example `http://prometheus.monitoring:9090`.
    pub url: String,
    /// File with a bearer token, read anew for each window because tokens rotate.
    pub bearer_file: Option<PathBuf>,
    /// More headers, for example `X-Scope-OrgID`.
    pub headers: Vec<(String, String)>,
    /// More label matchers in PromQL, for a server that many clusters share: `cluster="a"`.
    pub matchers: String,
    /// Window of `rate()`, at least twice the scrape interval; `None` for twice the step, one minute at least.
    pub rate_window: Option<Millis>,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// More containers than this are refused before they are read.
    pub max_series: u64,
    /// A longer answer is refused while it is read.
    pub max_bytes: usize,
}

impl Config {
    /// No sign-in, 30 s per answer, 200,000 containers, 256 MiB.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            bearer_file: None,
            headers: Vec::new(),
            matchers: String::new(),
            rate_window: None,
            timeout: Duration::from_secs(30),
            max_series: 200_000,
            max_bytes: 256 << 20,
        }
    }
}

/// The client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("{0:?} is not the address of a Prometheus: expected for example http://prometheus:9090")]
    Url(String),
    /// A header cannot be sent.
    #[error("{0:?} is not a header, or its value cannot be sent")]
    Header(String),
    /// The HTTP client cannot be built.
    #[error("the HTTP client for Prometheus cannot be built")]
    Http(#[source] reqwest::Error),
}

/// Prometheus.
#[derive(Clone)]
pub struct Prometheus {
    config: Config,
    client: Client,
}

impl Prometheus {
    /// Makes the client; nothing is asked yet. A provider of cryptography must have been installed.
    ///
    /// # Errors
    /// An address or header that is none.
    pub fn connect(config: Config) -> Result<Self, ConnectError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let wrong = || ConnectError::Header(name.clone());
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?, value);
        }
        let http = reqwest::Client::builder()
            .timeout(config.timeout)
            .default_headers(headers)
            // A POST that is redirected comes back as a GET of a sign-in page.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(ConnectError::Http)?;
        if !config.url.starts_with("http://") && !config.url.starts_with("https://") {
            return Err(ConnectError::Url(config.url));
        }
        let client = Client::from(http, &config.url).map_err(|_| ConnectError::Url(config.url.clone()))?;
        Ok(Self { config, client })
    }

    /// Usage of every container: one point per whole step of the window, the last one at `end` cut
    /// to a whole second. Two counts, then two range queries; O(containers × points).
    pub async fn read_usage(&self, end: Timestamp, window: Millis, step: Millis) -> Outcome {
        match self.usage(end, window, step).await {
            Ok(usage) => Outcome::Answered(Answer::Usage(usage)),
            Err(failure) => Outcome::Failed(failure),
        }
    }

    async fn usage(&self, end: Timestamp, window: Millis, step: Millis) -> Result<UsageWindow, Failure> {
        let grid = Grid::new(end, window, step).ok_or_else(|| {
            let what = format!("a window of {window} in steps of {step} is not possible: expected whole seconds and at most {MOST_POINTS} points");
            failed(FailureClass::Refused, FailureCode::Invalid, &what)
        })?;
        let token = self.token().await?;
        let mut warnings = Vec::new();
        for metric in [CPU, MEMORY] {
            self.check_count(metric, &grid, token.as_ref(), &mut warnings).await?;
        }
        let rate = self.config.rate_window.unwrap_or(Millis((step.0 * 2).max(60_000)));
        let cpu =
            self.range(&cpu(&self.config.matchers, rate), &grid, token.as_ref(), milli_cpu, &mut warnings).await?;
        if cpu.values().flatten().all(Option::is_none) {
            let what =
                format!("no container has a rate of {CPU} over {rate}: is it scraped at least twice in that time?");
            warnings.push(Name::truncated(what));
        }
        let memory = self.range(&memory(&self.config.matchers), &grid, token.as_ref(), bytes, &mut warnings).await?;
        let series = joined(cpu, memory, grid.points)?;
        warnings.sort();
        warnings.dedup();
        warnings.truncate(100);
        Ok(UsageWindow {
            start: Timestamp(grid.start * 1000),
            step,
            series: Many::new(series)
                .map_err(|error| failed(FailureClass::Refused, FailureCode::Internal, &error.to_string()))?,
            warnings: Few::new(warnings).unwrap_or_default(),
        })
    }

    async fn token(&self) -> Result<Option<HeaderValue>, Failure> {
        let Some(path) = &self.config.bearer_file else { return Ok(None) };
        let unreadable = || {
            let what = format!("the token file {} cannot be read, or is no token", path.display());
            failed(FailureClass::Retryable, FailureCode::Forbidden, &what)
        };
        let token = tokio::fs::read_to_string(path).await.map_err(|_| unreadable())?;
        let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| unreadable())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    async fn check_count(
        &self,
        metric: &str,
        grid: &Grid,
        token: Option<&HeaderValue>,
        warnings: &mut Vec<Name>,
    ) -> Result<(), Failure> {
        let mut query = self.client.query(count(metric, &self.config.matchers)).at(grid.end);
        if let Some(token) = token {
            query = query.header(AUTHORIZATION, token.clone());
        }
        let body = self.read(query.post_raw().await.map_err(|error| unanswered(&error))?).await?;
        let found = parse(&body, warnings)?.count();
        if found == 0 {
            let what = format!(
                "no series of {metric} for containers: is cAdvisor (the kubelet's /metrics/cadvisor) scraped, with the labels namespace, pod and container?"
            );
            return Err(failed(FailureClass::Refused, FailureCode::NotFound, &what));
        }
        if found > self.config.max_series {
            let what = format!(
                "{found} containers have a series of {metric}, more than the {} that are allowed: raise the limit, or choose by matchers",
                self.config.max_series
            );
            return Err(failed(FailureClass::Refused, FailureCode::Invalid, &what));
        }
        Ok(())
    }

    async fn range<T: Copy>(
        &self,
        promql: &str,
        grid: &Grid,
        token: Option<&HeaderValue>,
        value: impl Fn(f64) -> Option<T>,
        warnings: &mut Vec<Name>,
    ) -> Result<BTreeMap<Container, Vec<Option<T>>>, Failure> {
        let step = Duration::from_millis(u64::try_from(grid.step.0).unwrap_or(0)).as_secs_f64();
        let mut query = self.client.query_range(promql, grid.start, grid.end, step);
        if let Some(token) = token {
            query = query.header(AUTHORIZATION, token.clone());
        }
        let body = self.read(query.post_raw().await.map_err(|error| unanswered(&error))?).await?;
        let most = self.config.max_series;
        let (rows, left_out) = parse(&body, warnings)?.on_grid(grid, most, value).map_err(|_| {
            let what = format!("the answer has more containers than the {most} that are allowed, and than it counted");
            failed(FailureClass::Refused, FailureCode::Invalid, &what)
        })?;
        if left_out > 0 {
            warnings.push(Name::truncated(format!("{left_out} series name no container and were left out")));
        }
        Ok(rows)
    }

    /// Reads an answer's body, as long as it may be.
    async fn read(&self, mut answer: reqwest::Response) -> Result<Vec<u8>, Failure> {
        let status = answer.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| broken(&error))? {
            if body.len() + chunk.len() > self.config.max_bytes {
                let what = format!("the answer is longer than {} bytes", self.config.max_bytes);
                return Err(failed(FailureClass::Refused, FailureCode::Invalid, &what));
            }
            body.extend_from_slice(&chunk);
        }
        if status == 200 {
            return Ok(body);
        }
        let envelope = serde_json::from_slice::<Envelope<'_>>(&body).ok();
        Err(by_status(status, envelope.as_ref().and_then(Envelope::error_type).unwrap_or("")))
    }
}

pub(crate) fn parse<'a>(body: &'a [u8], warnings: &mut Vec<Name>) -> Result<Data<'a>, Failure> {
    let unreadable = || {
        failed(
            FailureClass::Refused,
            FailureCode::Invalid,
            "the answer is not Prometheus's: is something else at this address?",
        )
    };
    let envelope: Envelope<'a> = serde_json::from_slice(body).map_err(|_| unreadable())?;
    if envelope.status != "success" {
        return Err(by_status(200, envelope.error_type().unwrap_or("error")));
    }
    warnings.extend(envelope.warnings.iter().map(Name::truncated));
    envelope.data.ok_or_else(unreadable)
}

/// CPU and memory of the same container side by side; what one of them lacks is a gap.
fn joined(
    mut cpu: BTreeMap<Container, Vec<Option<MilliCpu>>>,
    mut memory: BTreeMap<Container, Vec<Option<Bytes>>>,
    points: usize,
) -> Result<Vec<ContainerSeries>, Failure> {
    let mut containers: Vec<Container> = cpu.keys().chain(memory.keys()).cloned().collect();
    containers.sort();
    containers.dedup();
    let too_long = |error: journal_schema::text::ListTooLong| {
        failed(FailureClass::Refused, FailureCode::Internal, &error.to_string())
    };
    containers
        .into_iter()
        .map(|container| {
            let (cpu, memory) = (cpu.remove(&container), memory.remove(&container));
            Ok(ContainerSeries {
                cpu: Few::new(cpu.unwrap_or_else(|| vec![None; points])).map_err(too_long)?,
                memory: Few::new(memory.unwrap_or_else(|| vec![None; points])).map_err(too_long)?,
                pod: container.0,
                container: container.1,
            })
        })
        .collect()
}
