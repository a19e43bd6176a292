// SPDX-License-Identifier: Apache-2.0
// What is known of a class at one moment: the data that explanations are weighed by.

import Descriptors

struct ClassFacts: Sendable {
  var kind: Kind
  var now: Double
  var collector: Collector?
  var open: Int
  /// How many of known age were ever closed.
  var closes: Int
  var survival: Survival
  var births: Births
  var deaths: Deaths
  /// Releases of many at once.
  var bulkCloses: Int
  var mostClosedInBulk: Int
  /// Which part of all closes came in such releases, 0…1.
  var bulkShare: Double
  /// ``births`` are those only that were there at the last release: the others wait for the next.
  var waitsForRelease: Bool
  var isCloseWait: Bool
  /// All members have the very same target.
  var hasOneTarget: Bool
  /// Parts of the survivors, 0…1: files without a name, data that nobody reads, offsets that were seen to move.
  var deletedShare: Double
  var unreadShare: Double
  var movedShare: Double
  /// What is known of their use; `nil` if nothing is.
  var usage: UsageEvidence?

  /// As many were closed as have survived, and ten at least: survivors are a part among others.
  var isAmongOthers: Bool { closes >= max(10, births.count) }

  /// What is held, as far as it matters to how probable each explanation is from the outset.
  var sort: ClassSort {
    if isCloseWait { return .closeWait }
    switch kind {
    case .file, .directory, .device:
      if deletedShare > 0.5 { return .deletedFile }
      if hasOneTarget { return .sameFile }
      return isAmongOthers ? .fileAmongOthers : .file
    case .tcp where hasOneTarget: return .connection
    case .tcp, .unix, .socket: return isAmongOthers ? .socketAmongOthers : .socket
    // Of UDP and netlink sockets nobody at the other end asks for one each.
    default: return .kernelObject
    }
  }

  var priors: ClassPriors {
    var priors = Priors.of(sort)
    if sort == .kernelObject, UsageFactors.areInUse(self) {
      // Threads, children, sessions: of those that are at work there may be more than of objects of the kernel in general.
      (priors.size, priors.sizeShape) = (Priors.workers.value, Priors.workersShape.value)
    }
    return priors
  }

  /// What is known of the runtime and of earlier releases, as a factor of the collector's prior.
  var collectorFactor: Double {
    var factor = 1.0
    switch collector {
    case nil: break
    case .some(.none): factor = Priors.noCollector.value
    // Directory streams have no finalizer where file streams have one (java.nio.file.Files.list, 2014).
    case .periodic: break
    case .onDemand: factor = kind == .directory ? 1 : Priors.knownCollector.value
    }
    return bulkCloses > 0 ? factor * (1 + Priors.releasedBefore.value * bulkShare) : factor
  }

  /// Weighs the explanations.
  var posterior: Posterior {
    Posterior { explanation in
      switch explanation {
      case .leak: Leak.factors(self)
      case .ownerAlive: OwnerAlive.factors(self)
      case .capacity: Capacity.factors(self)
      case .collector: Collecting.factors(self)
      case .heldByClient: HeldByClient.factors(self)
      case .step: Step.factors(self)
      case .load: Load.factors(self)
      }
    }
  }
}
