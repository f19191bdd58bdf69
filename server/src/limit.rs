//! How often somebody may ask.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use cku_base::Principal;
use governor::{DefaultKeyedRateLimiter, Quota, clock::Clock, clock::DefaultClock};

use crate::{answer::Problem, forwarded};

/// Keys that are kept before those that have not asked for a while are let go.
const KEPT: usize = 65_536;

/// How often each address and each principal may ask; with a burst of a second's worth.
pub(crate) struct Limiter {
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    principals: Option<DefaultKeyedRateLimiter<Principal>>,
    clock: DefaultClock,
}

impl Limiter {
    /// None for a limit means that there is none.
    pub(crate) fn new(by_address: Option<NonZeroU32>, by_principal: Option<NonZeroU32>) -> Self {
        Self {
            addresses: by_address.map(|n| DefaultKeyedRateLimiter::keyed(Quota::per_second(n))),
            principals: by_principal.map(|n| DefaultKeyedRateLimiter::keyed(Quota::per_second(n))),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request from an address, before anything is done about it.
    pub(crate) fn address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let (Some(limiter), Some(address)) = (&self.addresses, address) else { return Ok(()) };
        let address = forwarded::counted(address);
        if limiter.len() > KEPT {
            limiter.retain_recent();
        }
        limiter
            .check_key(&address)
            .map_err(|not| self.too_many("this address", not.wait_time_from(self.clock.now()), not.quota()))
    }

    /// Counts a request by somebody who is known.
    ///
    /// Names are those of a tenant: somebody of the same name elsewhere is somebody else.
    pub(crate) fn principal(&self, who: &Principal, name: &str) -> Result<(), Problem> {
        let Some(limiter) = &self.principals else { return Ok(()) };
        if limiter.len() > KEPT {
            limiter.retain_recent();
        }
        limiter.check_key(who).map_err(|not| {
            self.too_many(&format!("`{name}`"), not.wait_time_from(self.clock.now()), not.quota())
        })
    }

    fn too_many(&self, who: &str, wait: Duration, quota: Quota) -> Problem {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Problem::too_many(
            format!("{who} may ask {} times a second; try again in {seconds} s", quota.burst_size()),
            seconds.max(1),
            quota.burst_size().get(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_on_its_own_and_without_a_limit_nobody_is() {
        let limiter = Limiter::new(None, NonZeroU32::new(2));
        let ask = |id: &str, tenant: &str| {
            let kind = cku_base::PrincipalKind::User;
            let who = Principal { kind, id: id.parse().unwrap(), tenant: tenant.parse().unwrap() };
            limiter.principal(&who, &who.to_string())
        };
        assert!(ask("a", "acme").is_ok() && ask("a", "acme").is_ok());
        let problem = ask("a", "acme").unwrap_err();
        assert_eq!(problem.status.as_u16(), 429);
        assert!(ask("b", "acme").is_ok());
        assert!(ask("a", "globex").is_ok(), "of the same name, and somebody else");
        let address = Some(IpAddr::from([127, 0, 0, 1]));
        assert!((0..100).all(|_| limiter.address(address).is_ok()));
        let limiter = Limiter::new(NonZeroU32::new(1), None);
        assert!(limiter.address(address).is_ok() && limiter.address(address).is_err());
        assert!(limiter.address(None).is_ok(), "a unix socket has no address");
    }
}
