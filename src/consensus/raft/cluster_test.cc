/// The harness of these tests, and that its checks can fail.
#include "consensus/raft/testing_cluster.h"

#include <doctest/doctest.h>

namespace dlog::consensus::raft {

void TestCluster::start(int count, int voters, std::size_t write_quorum) {
    std::vector<NodeId> voting;
    for (int i = 1; i <= voters; ++i) voting.push_back(NodeId(i));
    for (int i = 1; i <= count; ++i) {
        Node& node = nodes[NodeId(i)];
        node.id = NodeId(i);
        node.skew_ns = random.between(0, 1'000'000'000'000);
        node.drift = random.between(-10, 10);
        node.durable = TestLog{
            .history = History(Epoch{.configuration = make_configuration(voting, write_quorum)})};
    }
    for (auto& [id, node] : nodes) restart(id);
}

void TestCluster::restart(NodeId id) {
    Node& node = nodes.at(id);
    ensure(!node.is_up, "only a dead node starts");
    node.is_up = true;
    node.wakes_at = {};
    node.is_disk_busy = false;
    node.log = node.durable;
    node.liveness.emplace(++node.incarnation, liveness_options);
    std::vector<NodeId> others;
    for (const auto& [other, unused] : nodes) {
        if (other != id) others.push_back(other);
    }
    node.liveness->set_nodes(others);
    const Duration silence = liveness_options.support + milliseconds(30);
    node.group.emplace(
        id, group_options,
        Recovered{.ballot = node.durable_ballot,
                  .history = node.log->history,
                  .commit = node.log->history.start(),
                  .started_at = clock(node),
                  .silent_until = node.incarnation == 1 ? Instant{} : clock(node) + silence},
        random.fork());
    wake(node);
}

void TestCluster::crash(NodeId id) {
    Node& node = nodes.at(id);
    ensure(node.is_up, "only a live node dies");
    node.is_up = false;
    std::uint64_t done = random.below(node.writing.size() + 1);
    while (done-- > 0) finish_write(node, false);
    if (!node.writing.empty() && random.chance(1, 2)) {
        DiskWrite& torn = node.writing.front();
        torn.values.resize(random.below(torn.values.size() + 1));
        torn.ballot.reset();
        finish_write(node, false);
    }
    node.writing.clear();
    node.group.reset();
    node.liveness.reset();
    node.log.reset();
}

void TestCluster::fail_writes(NodeId id) {
    Node& node = nodes.at(id);
    LogPosition left = node.durable->history.end();
    std::deque<DiskWrite> votes;
    for (const DiskWrite& writing : node.writing) {
        if (writing.install || writing.trim) return;
        if (writing.write) left = std::min(left, writing.write->keep);
        if (writing.ballot) votes.push_back(writing);
    }
    node.writing = std::move(votes);
    node.log->cut(left);
    node.writing.push_back(
        {.write = WriteLog{.keep = left, .epochs = {}, .from = left.end, .end = left}});
    start_disk(node);
    step(id, Lost{.end = left});
}

Instant TestCluster::clock(const Node& node) const {
    return {now.ns + node.skew_ns + now.ns / 1000 * node.drift};
}

void TestCluster::step(NodeId id, const Input& input, std::vector<Value> values) {
    Node& node = nodes.at(id);
    const Role before = node.group->role();
    const LogPosition commit_before = node.group->commit();
    Effects effects = node.group->step(clock(node), node.liveness->peers(), input);
    if (effects.forgetful) ++forgetful;
    perform(node, effects, values);
    check(node, before, commit_before);
    wake(node);
}

bool TestCluster::propose(NodeId id) {
    Node& node = nodes.at(id);
    if (!node.is_up || !node.group->accepts_proposals()) return false;
    const LogPosition keep = node.log->history.end();
    std::vector<Value> values(1 + random.below(3));
    for (Value& value : values) value = ++last_value;
    node.log->add({}, values);
    const LogPosition end = node.log->history.end();
    node.writing.push_back(
        {.write = WriteLog{.keep = keep, .epochs = {}, .from = keep.end, .end = end},
         .values = values});
    start_disk(node);
    step(id, Proposed{.end = end.end});
    return true;
}

void TestCluster::trim(NodeId id) {
    Node& node = nodes.at(id);
    const Offset start = node.log->history.start().end;
    const std::int64_t most = node.group->commit().end.since(start);
    if (most <= 0) return;
    const Offset to = start + random.between(1, most);
    node.log->trim(to);
    node.writing.push_back({.trim = to});
    start_disk(node);
    step(id, Trimmed{.start = to});
}

void TestCluster::run_for(Duration span) {
    const Instant end = now + span;
    while (!events_.empty() && events_.top().at <= end) {
        const Event event = std::move(const_cast<Event&>(events_.top()));
        events_.pop();
        now = event.at;
        event.run();
    }
    now = end;
}

std::vector<NodeId> TestCluster::leaders() const {
    std::vector<NodeId> all;
    for (const auto& [id, node] : nodes) {
        if (node.is_up && node.group->role() == Role::kLeader) all.push_back(id);
    }
    return all;
}

std::optional<NodeId> TestCluster::leader() const {
    std::optional<NodeId> best;
    for (const NodeId id : leaders()) {
        if (!best || group(*best).term() < group(id).term()) best = id;
    }
    return best;
}

std::string TestCluster::describe() const {
    std::string text;
    for (const auto& [id, node] : nodes) {
        text += "\n" + std::to_string(id.value);
        if (!node.is_up) continue;
        const Group& g = *node.group;
        const auto put = [&](const char* name, std::int64_t value) {
            text += std::string(" ") + name + " " + std::to_string(value);
        };
        put("role", static_cast<int>(g.role()));
        put("term", g.term().value);
        put("leader", g.leader() ? g.leader()->value : 0);
        put("last term", g.history().end().term.value);
        put("start", g.history().start().end.value);
        put("end", g.history().end().end.value);
        put("persisted", g.persisted().end.value);
        put("commit", g.commit().end.value);
        put("commit term", g.commit().term.value);
        const Configuration& configuration = g.history().configuration();
        for (const Voters* voters : {&configuration.voters, &configuration.outgoing}) {
            put("quorum", static_cast<std::int64_t>(voters->write_quorum));
            for (const Voter& voter : voters->members) put("of", voter.node.value);
        }
    }
    for (const auto& [id, node] : nodes) {
        if (!node.is_up) continue;
        for (const auto& [peer, progress] : node.group->followers()) {
            text += "\n" + std::to_string(id.value) + " -> " + std::to_string(peer.value) +
                    " state " + std::to_string(static_cast<int>(progress.state())) +
                    (progress.loading() ? " loading" : "") + " match " +
                    std::to_string(progress.match().term.value) + ":" +
                    std::to_string(progress.match().end.value) + " next " +
                    std::to_string(progress.next().term.value) + ":" +
                    std::to_string(progress.next().end.value) + " epochs";
        }
        for (const Epoch& epoch : node.group->history().epochs()) {
            text +=
                " " + std::to_string(epoch.term.value) + ":" + std::to_string(epoch.start.value);
        }
    }
    return text;
}

void TestCluster::at(Instant when, std::function<void()> run) {
    events_.push({.at = std::max(when, now), .order = ++order_, .run = std::move(run)});
}

void TestCluster::perform(Node& node, const Effects& effects, const std::vector<Value>& values) {
    if (effects.ballot) node.writing.push_back({.ballot = effects.ballot});
    if (effects.write) {
        const WriteLog& write = *effects.write;
        node.log->cut(write.keep);
        const auto wanted = static_cast<std::size_t>(write.end.end.since(write.from));
        ensure(wanted <= values.size(), "records to write came beside the message");
        const std::vector<Value> taken(values.end() - static_cast<std::ptrdiff_t>(wanted),
                                       values.end());
        node.log->add(write.epochs, taken);
        ensure(node.log->history.end() == write.end, "a write leads to the end that it names");
        node.writing.push_back({.write = write, .values = taken});
    }
    if (effects.install) {
        begin_anew(node.log, *effects.install);
        node.writing.push_back({.install = effects.install});
    }
    start_disk(node);
    for (const Load& load : effects.loads) {
        at(now + milliseconds(random.between(0, faults.disk_ms_max)),
           [this, id = node.id, process = node.incarnation, load] {
               Node& reader = nodes.at(id);
               if (!reader.is_up || reader.incarnation != process) return;
               const std::int64_t most = load.until.since(load.from.end);
               const Offset end = load.from.end + random.between(1, most);
               step(id, Loaded{.to = load.to,
                               .term = load.term,
                               .from = load.from,
                               .end = end,
                               .bytes = 100});
           });
    }
    for (const Outgoing& outgoing : effects.messages) send(node, outgoing);
}

void TestCluster::begin_anew(std::optional<TestLog>& log, const Install& install) {
    log = TestLog{.history = History(Epoch{.term = install.start.term,
                                           .start = install.start.end,
                                           .configuration = install.configuration})};
}

void TestCluster::send(Node& node, const Outgoing& outgoing) {
    std::vector<Value> values;
    if (const auto* append = std::get_if<Append>(&outgoing.message)) {
        for (Offset o = append->previous.end; o < append->end.end; ++o) {
            values.push_back(node.log->at(o));
        }
    }
    deliver(node.id, outgoing.to, [this, from = node.id, outgoing, values] {
        step(outgoing.to, Received{.from = from, .message = outgoing.message}, values);
    });
}

void TestCluster::deliver(NodeId from, NodeId to, std::function<void()> run) {
    ++messages;
    const std::uint64_t copies = random.chance(faults.repeated_percent, 100) ? 2 : 1;
    for (std::uint64_t i = 0; i < copies; ++i) {
        if (random.chance(faults.lost_percent, 100)) continue;
        const bool is_late = random.chance(1, 50);
        const std::int64_t most = faults.delay_ms_max * (is_late ? 20 : 1);
        at(now + microseconds(random.between(50, most * 1000)), [this, from, to, run] {
            if (nodes.at(to).is_up && !cut.contains({from, to})) run();
        });
    }
}

void TestCluster::start_disk(Node& node) {
    if (node.is_disk_busy || node.writing.empty()) return;
    node.is_disk_busy = true;
    at(now + microseconds(random.between(20, faults.disk_ms_max * 1000 + 20)),
       [this, id = node.id, process = node.incarnation] {
           Node& writer = nodes.at(id);
           if (writer.is_up && writer.incarnation == process) finish_write(writer, true);
       });
    if (is_flush_skipped) report(node, node.writing.front());
}

void TestCluster::finish_write(Node& node, bool is_alive) {
    DiskWrite done = std::move(node.writing.front());
    node.writing.pop_front();
    if (done.ballot && !is_vote_forgotten) node.durable_ballot = *done.ballot;
    if (done.write) {
        node.durable->cut(done.write->keep);
        node.durable->add(done.write->epochs, done.values);
    }
    if (done.install) begin_anew(node.durable, *done.install);
    if (done.trim) node.durable->trim(*done.trim);
    if (!is_alive) return;
    node.is_disk_busy = false;
    start_disk(node);
    if (!is_flush_skipped) report(node, done);
}

void TestCluster::report(Node& node, const DiskWrite& done) {
    at(now, [this, id = node.id, process = node.incarnation, done] {
        Node& writer = nodes.at(id);
        if (!writer.is_up || writer.incarnation != process) return;
        if (done.ballot) step(id, BallotPersisted{.ballot = *done.ballot});
        if (done.write) step(id, Persisted{.position = done.write->end});
        if (done.install) step(id, Installed{.start = done.install->start});
    });
}

void TestCluster::wake(Node& node) {
    const Instant deadline = std::min(node.group->next_deadline(), node.liveness->next_deadline());
    if (deadline == kNever) return;
    const Duration wait = std::max(deadline - clock(node), Duration{});
    const Instant when = now + wait + Duration{wait.ns / 50} + microseconds(1);
    if (node.wakes_at > now && node.wakes_at <= when) return;
    node.wakes_at = when;
    at(when, [this, id = node.id, process = node.incarnation] {
        Node& sleeper = nodes.at(id);
        if (sleeper.is_up && sleeper.incarnation == process) tick(sleeper);
    });
}

void TestCluster::tick(Node& node) {
    if (node.liveness->next_deadline() <= clock(node)) {
        pulse(node, node.liveness->tick(clock(node)));
    }
    if (node.group->next_deadline() <= clock(node)) step(node.id, Tick{});
    wake(node);
}

void TestCluster::pulse(Node& node, const Liveness::Effects& effects) {
    for (const Liveness::Outgoing& outgoing : effects.pulses) {
        deliver(node.id, outgoing.to, [this, from = node.id, outgoing] {
            Node& to = nodes.at(outgoing.to);
            pulse(to, to.liveness->received(clock(to), from, outgoing.pulse));
            wake(to);
        });
    }
    for (const NodeId peer : effects.changed) step(node.id, PeerChanged{.peer = peer});
}

void TestCluster::check(Node& node, Role before, LogPosition committed_before) {
    const Group& group = *node.group;
    ensure(group.history().end() == node.log->history.end(),
           "the machine knows where its log ends");
    if (group.role() == Role::kLeader && before != Role::kLeader) check_leader(node);
    if (group.commit().end > committed_before.end) check_commit(node, committed_before.end);
    for (const auto& [id, other] : nodes) check_lease(other);
}

void TestCluster::check_lease(const Node& node) const {
    if (!node.is_up || !node.group->may_serve_reads(clock(node), node.liveness->peers())) return;
    ensure(node.group->commit().end.value == static_cast<std::int64_t>(committed.size()),
           "who serves reads knows all that is committed");
}

void TestCluster::check_leader(Node& node) {
    const auto [at, is_new] = leader_of.try_emplace(node.group->term(), node.id);
    ensure(at->second == node.id, "a term has one leader");
    ensure(is_new, "a term has one leader, once");
    // Leader completeness.
    const History& history = node.log->history;
    ensure(history.end().end.value >= static_cast<std::int64_t>(committed.size()),
           "a leader has all that is committed");
    for (auto i = history.start().end.value; std::cmp_less(i, committed.size()); ++i) {
        ensure(node.log->at(Offset(i)) == committed[static_cast<std::size_t>(i)].first,
               "a leader has what is committed");
    }
}

void TestCluster::check_commit(Node& node, Offset from) {
    const TestLog& log = *node.log;
    const Offset first = std::max(from, log.history.start().end);
    for (Offset o = first; o < node.group->commit().end; ++o) {
        const auto index = static_cast<std::size_t>(o.value);
        const std::pair entry{log.at(o), log.history.position_at(o).term};
        ensure(index <= committed.size(), "commits have no gaps");
        if (index == committed.size()) {
            committed.push_back(entry);
        } else {
            ensure(committed[index] == entry, "what is committed never changes");
        }
    }
}

namespace {

TEST_CASE("the harness notices two leaders of one term and a commit that changes") {
    TestCluster cluster(1);
    cluster.start(1, 1);
    cluster.leader_of[LeaderEpoch(0)] = NodeId(2);
    CHECK_THROWS_AS(cluster.run_for(seconds(1)), Broken);

    TestCluster other(1);
    other.start(1, 1);
    other.run_for(seconds(1));
    other.committed.push_back({Value{99}, LeaderEpoch(0)});
    CHECK_THROWS_AS(
        [&] {
            other.propose(NodeId(1));
            other.run_for(seconds(1));
        }(),
        Broken);
}

}  // namespace
}  // namespace dlog::consensus::raft
