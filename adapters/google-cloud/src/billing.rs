//! The billing API: what machines cost today.
//!
//! Prices are refreshed beside the configured ones, never instead of them: when the catalogue cannot be
//! read, what was known last is used, and it is asked again soon. What an article means is told in
//! [`adapter_prices::billing`].

use std::time::Duration;

use adapter_prices::Catalogue;
use adapter_prices::billing::{COMPUTE_ENGINE, Page, Rates};
use journal_schema::effect::{Failure, FailureClass, FailureCode};
use journal_schema::text::Name;
use journal_schema::units::Timestamp;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::failure::Called;
use crate::now;
use crate::rest::Rest;

const ENDPOINT: &str = "https://cloudbilling.googleapis.com";
/// Articles on a page: the API's most.
const PAGE: u32 = 5000;
/// Pages before the list is taken for endless; Compute Engine has about ten.
const MOST_PAGES: usize = 100;
/// How long to wait after a failure, unless prices are refreshed more often anyway.
const AFTER_FAILURE: Duration = Duration::from_mins(10);

/// How the billing API is used.
#[derive(Clone, Debug)]
pub struct BillingConfig {
    /// How old prices may become.
    pub refresh: Duration,
    /// The API's endpoint; `None` for Google's.
    pub endpoint: Option<String>,
}

/// The client, and the prices that were read last.
#[derive(Debug)]
pub(crate) struct Billing {
    rest: Rest,
    url: String,
    refresh: Duration,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    /// Prices, when any could be read yet.
    rates: Option<(Rates, Timestamp)>,
    /// When to ask again.
    due: Instant,
}

impl Billing {
    pub(crate) fn new(config: &BillingConfig, rest: Rest) -> Self {
        let endpoint = config.endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
        let url = format!("{endpoint}/v1/services/{COMPUTE_ENGINE}/skus?currencyCode=USD&pageSize={PAGE}");
        Self { rest, url, refresh: config.refresh, last: Mutex::new(None) }
    }

    /// The catalogue with today's prices, in its own regions and those wanted; the catalogue as it is
    /// while none could be read.
    pub(crate) async fn refreshed(&self, base: &Catalogue, wanted: &[Name]) -> Catalogue {
        let mut last = self.last.lock().await;
        let mut fresh = false;
        if last.as_ref().is_none_or(|last| last.due <= Instant::now()) {
            let before = last.take().and_then(|last| last.rates);
            let (rates, wait) = match self.read().await {
                Ok(rates) => {
                    fresh = true;
                    (Some((rates, now())), self.refresh)
                }
                Err(failure) => {
                    tracing::warn!("prices could not be refreshed, the last known are used: {}", failure.message);
                    (before, self.refresh.min(AFTER_FAILURE))
                }
            };
            *last = Some(Last { rates, due: Instant::now() + wait });
        }
        let Some((rates, at)) = last.as_ref().and_then(|last| last.rates.as_ref()) else { return base.clone() };
        let refreshed = rates.refresh(base, wanted, *at);
        if fresh {
            tracing::info!(prices = refreshed.priced, "prices were read from Cloud Billing");
            for doubted in &refreshed.doubted {
                tracing::warn!("a price of Cloud Billing is not believed: {doubted}");
            }
        }
        refreshed.catalogue
    }

    async fn read(&self) -> Result<Rates, Failure> {
        let called = Called {
            method: "services.skus.list",
            permission: "(the Cloud Billing API must be enabled in the project)",
            target: COMPUTE_ENGINE,
            mutates: false,
        };
        let (mut rates, mut url) = (Rates::default(), self.url.clone());
        for _ in 0..MOST_PAGES {
            let page: Page = self.rest.get(&url, &called).await?;
            page.skus.iter().for_each(|sku| rates.add(sku));
            if page.next_page_token.is_empty() {
                let nothing =
                    || called.failed(FailureClass::Retryable, FailureCode::Invalid, "no price of a machine is in it");
                return if rates.is_empty() { Err(nothing()) } else { Ok(rates) };
            }
            let next = reqwest::Url::parse_with_params(&self.url, [("pageToken", &page.next_page_token)]);
            let unreadable = |_| called.failed(FailureClass::Refused, FailureCode::Invalid, "its address is not a URL");
            url = next.map_err(unreadable)?.into();
        }
        Err(called.failed(FailureClass::Retryable, FailureCode::Invalid, "the list does not end"))
    }
}
