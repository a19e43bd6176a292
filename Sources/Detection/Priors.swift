// SPDX-License-Identifier: Apache-2.0
// What is believed before anything is seen. All the constants of the model, each with its reason; README.md has this table.

import Descriptors

/// What a class holds, as far as it matters to how probable each explanation is from the outset.
enum ClassSort: String, Sendable, CaseIterable {
  case closeWait = "TCP in CLOSE_WAIT"
  case kernelObject = "objects of the kernel, UDP"
  case sameFile = "one file again and again"
  case deletedFile = "deleted files"
  case file = "files"
  case fileAmongOthers = "files, others closed"
  case connection = "TCP to one peer"
  case socket = "sockets"
  case socketAmongOthers = "sockets, others closed"
}

/// The row of a sort of class.
struct ClassPriors: Sendable {
  /// Weights of the explanations; together 1.
  var leak, capacity, collector, client, step, load: Double
  /// Sizes of pools and caches: `P(K ≥ n) = (1 + n/size)^-sizeShape`.
  var size, sizeShape: Double
  /// Clients at once: `P(m ≥ n) = (1 + n/clients)^-1`.
  var clients: Double
  var because: String
}

/// A constant of the model.
struct Prior: Sendable {
  var name: String
  var value: Double
  var because: String
  var source: String
}

enum Priors {
  /// In words each: nothing was fitted.
  static func of(_ sort: ClassSort) -> ClassPriors {
    switch sort {
    case .closeWait:
      ClassPriors(
        leak: 0.40, capacity: 0.12, collector: 0.13, client: 0.02, step: 0.05, load: 0.28, size: 16, sizeShape: 1.5,
        clients: 64, because: "only a close is missing; a pool notices at its next use (urllib3, HttpClient)")
    case .kernelObject:
      ClassPriors(
        leak: 0.25, capacity: 0.25, collector: 0.06, client: 0.06, step: 0.12, load: 0.26, size: 32, sizeShape: 1.5,
        clients: 64, because: "one or a few per thread, child or window: a program has tens of these, rarely hundreds")
    case .sameFile:
      ClassPriors(
        leak: 0.32, capacity: 0.10, collector: 0.15, client: 0.05, step: 0.08, load: 0.30, size: 8, sizeShape: 1.5,
        clients: 64, because: "one file is opened more than once by a thread or a client each, and few keep it")
    case .deletedFile:
      ClassPriors(
        leak: 0.25, capacity: 0.10, collector: 0.15, client: 0.15, step: 0.05, load: 0.30, size: 16, sizeShape: 1.5,
        clients: 64, because: "temporary files, rotated logs, downloads that go on")
    case .file:
      ClassPriors(
        leak: 0.18, capacity: 0.27, collector: 0.12, client: 0.03, step: 0.10, load: 0.30, size: 128, sizeShape: 1,
        clients: 64,
        because: "caches hold 100 to 1,000 (nginx open_file_cache, PostgreSQL max_files_per_process, LevelDB)")
    case .fileAmongOthers:
      ClassPriors(
        leak: 0.25, capacity: 0.20, collector: 0.12, client: 0.03, step: 0.10, load: 0.30, size: 64, sizeShape: 1,
        clients: 64, because: "a cache keeps what it opens, and does not close as many at once")
    case .connection:
      ClassPriors(
        leak: 0.20, capacity: 0.25, collector: 0.05, client: 0.08, step: 0.12, load: 0.30, size: 16, sizeShape: 1.5,
        clients: 64, because: "pools: 10 (HikariCP, urllib3, node-postgres), 4 (psycopg), 15 (SQLAlchemy), 100 (JDBC)")
    case .socket:
      ClassPriors(
        leak: 0.12, capacity: 0.15, collector: 0.05, client: 0.22, step: 0.11, load: 0.35, size: 32, sizeShape: 1.2,
        clients: 256, because: "who accepts connections has hundreds (nginx 512, memcached 1,024, Redis 10,000 at most)"
      )
    case .socketAmongOthers:
      ClassPriors(
        leak: 0.20, capacity: 0.13, collector: 0.05, client: 0.10, step: 0.12, load: 0.40, size: 32, sizeShape: 1.2,
        clients: 64, because: "where most clients leave soon, fewer stay for good")
    }
  }

  static let workers = Prior(
    name: "n₀ of threads and children at work", value: 64, because: "known to be in use: workers, sessions, windows",
    source: "Tomcat maxThreads 200, Apache MaxRequestWorkers 256, PostgreSQL max_connections 100")
  static let workersShape = Prior(
    name: "α of threads and children at work", value: 1.2, because: "as of sockets, which they often serve",
    source: "reasoned")
  static let burst = Prior(
    name: "scale of a burst", value: 20, because: "s; programs start, and read their configuration again, in seconds",
    source: "systemd's DefaultTimeoutStartSec is 90 s")
  static let burstShape = Prior(
    name: "shape of a burst", value: 2, because: "one in 16 takes longer than a minute", source: "reasoned")
  static let stay = Prior(
    name: "stay of clients", value: 600, because: "s, half stay longer: keep-alive is 60 to 75 s, sessions hours",
    source: "nginx keepalive_timeout 75 s, HAProxy timeout client 60 s, sshd none")
  static let noCollector = Prior(
    name: "collector, none known", value: 0.2, because: "the mappings show none; one may be linked in",
    source: "reasoned")
  static let knownCollector = Prior(
    name: "collector, known", value: 2, because: "one that runs on demand would close what the program drops",
    source: "reasoned")
  static let releasedBefore = Prior(
    name: "released before", value: 40, because: "times the part of all closes that came in bulk: it has a collector",
    source: "reasoned")
  static let leakInUse = Prior(
    name: "leak, offsets move", value: 0.6, because: "leaked log handlers are written, too; most are not",
    source: "1 of 4 leaks measured, 0 of 9 held")
  static let stepInUse = Prior(
    name: "step, offsets move", value: 0.8, because: "what a start-up opens is used as often as not", source: "reasoned"
  )
  static let pooledUnread = Prior(
    name: "capacity, unread", value: 0.15, because: "who keeps a connection reads what comes", source: "reasoned")
  static let clientUnread = Prior(
    name: "held by client, unread", value: 0.3, because: "busy servers read late", source: "1 of 8 held measured")
  static let someShare = Prior(
    name: "share that moves", value: 0.3, because: "of the survivors, to count as in use", source: "reasoned")
  static let mostShare = Prior(name: "share unread", value: 0.5, because: "of the survivors", source: "reasoned")
  static let scales = Prior(
    name: "scales looked at", value: 40, because: "the best of so many is taken (union bound)",
    source: "bins of the histogram of ages")
  static let wave = Prior(
    name: "wave of work", value: 60, because: "s; what lags behind for longer than a wave does not catch up",
    source: "reasoned")

  static let all = [
    burst, burstShape, stay, noCollector, knownCollector, releasedBefore, leakInUse, stepInUse, pooledUnread,
    clientUnread, someShare, mostShare, scales, wave,
    workers, workersShape, UsageFactors.ownersOfObjects, UsageFactors.ownersOfOthers, UsageFactors.ownerless,
    UsageFactors.unlikeSiblings,
  ]

  /// How long a collector lets its work wait, in seconds and in objects, whichever is more; and the shape.
  static func collectorPause(_ collector: Collector?) -> (seconds: Double, objects: Double, shape: Double) {
    switch collector {
    // Unknown runtimes: collectors of busy programs run about once a minute.
    case nil, .some(.none): (60, 20, 2)
    // Every two minutes at least (forcegcperiod in Go's runtime/proc.go), and finalizers a moment later.
    case .periodic: (150, 0, 6)
    // When memory is wanted: after minutes, where there is work; or never.
    case .onDemand: (120, 60, 2)
    }
  }

  /// The tables of README.md.
  static var markdown: String {
    func row(_ cells: [String]) -> String { "| " + cells.joined(separator: " | ") + " |" }
    func figure(_ value: Double) -> String { value.figure }
    let head = ["class", "leak", "capacity", "collector", "client", "step", "load", "n₀, α", "clients", "because"]
    var lines = [row(head), row(head.map { _ in "---" })]
    for sort in ClassSort.allCases {
      let priors = of(sort)
      let weights = [priors.leak, priors.capacity, priors.collector, priors.client, priors.step, priors.load]
      lines.append(
        row(
          [sort.rawValue] + weights.map(figure)
            + ["\(figure(priors.size)), \(figure(priors.sizeShape))", figure(priors.clients), priors.because]))
    }
    lines += ["", row(["constant", "value", "because", "source"]), row(["---", "---", "---", "---"])]
    for prior in all { lines.append(row([prior.name, figure(prior.value), prior.because, prior.source])) }
    let signs = ["kind", "sign", "most show it", "most do not", "because", "programs"]
    lines += ["", row(signs), row(signs.map { _ in "---" })]
    for cells in UsageFactors.markdown { lines.append(row(cells)) }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension Double {
  /// `8`, `0.25`.
  var figure: String { self == rounded() ? String(Int(self)) : String(self) }
}
