//! The least that a proxy on pingora does: each request goes to the one
//! upstream and its answer back, unchanged. `compare` measures Standin beside
//! it, so it has Standin's allocator, profile and number of threads.

use std::net::SocketAddr;
use std::process::ExitCode;

use async_trait::async_trait;
use pingora_core::Result;
use pingora_core::server::Server;
use pingora_core::server::configuration::ServerConf;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Passes everything on.
struct Bare {
    upstream: SocketAddr,
}

#[async_trait]
impl ProxyHttp for Bare {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, (): &mut ()) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(self.upstream, false, String::new())))
    }
}

/// `bare-pingora LISTEN UPSTREAM THREADS`
fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(listen), Some(Ok(upstream)), Some(Ok(threads))) = (
        words.next(),
        words.next().map(|word| word.parse()),
        words.next().map(|word| word.parse()),
    ) else {
        return ExitCode::from(2);
    };
    let conf = ServerConf {
        threads,
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, Bare { upstream });
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever()
}
