// Drives every channel (an AXI-Stream slave, a master, or one of both) of a Verilator model with
// random stalls, records what comes out and when, and prints statistics as JSON.
//
// `ports.h`, generated with the model, defines MODEL_HEADER, MODEL, CHANNELS (their number),
// SLAVES(X) and MASTERS(X) with an X(channel, tdata, tvalid, tready) a port, and, for a top
// with probes, PROBES (their number), PROBE_COUNT and PROBE_MAX (ports of 32 bits a FIFO). With
// PROBE_LIMIT, an input of the same shape, the depth of every FIFO is given when the program runs.
//
// Usage: sim JOB PATIENCE SEED [DEPTH ...]. JOB has a line for each channel:
//   frames in_beats out_beats in_words out_words in_valid out_ready pace input_file output_file
// Beats are rows of 32-bit words, the low one first; a side that is not there has none. Status 0:
// all frames done; 3: a channel made no transfer for PATIENCE cycles; 4: a master broke a rule of
// AXI-Stream: an offered beat stays, unchanged, until it is taken, and, checked if ports.h defines
// STRICT, whether one is offered depends on no ready.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "ports.h"
#include MODEL_HEADER
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

template <typename Port>
void put(Port& port, const uint32_t* words, int count) {
    uint64_t value = words[0];
    if (count > 1) value |= uint64_t(words[1]) << 32;
    port = Port(value);
}
template <std::size_t N>
void put(VlWide<N>& port, const uint32_t* words, int count) {
    for (int i = 0; i < count; ++i) port[i] = words[i];
}
template <typename Port>
void get(const Port& port, uint32_t* words, int count) {
    words[0] = uint32_t(port);
    if (count > 1) words[1] = uint32_t(uint64_t(port) >> 32);
}
template <std::size_t N>
void get(const VlWide<N>& port, uint32_t* words, int count) {
    for (int i = 0; i < count; ++i) words[i] = port[i];
}

// xorshift64*: quick, and the same on every machine.
struct Random {
    uint64_t state;
    bool below(uint32_t limit) {
        if (limit == UINT32_MAX) return true;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return uint32_t((state * 0x2545F4914F6CDD1DULL) >> 32) < limit;
    }
};

struct Job {
    uint64_t frames, in_beats, out_beats, pace;
    int in_words, out_words;
    uint32_t in_valid, out_ready;
    std::string input_file, output_file;
};

// The side of a channel that sends into the model.
class Slave {
public:
    Slave(const Job& job, Random& random)
        : frame_beats_(job.in_beats), total_(job.frames * job.in_beats), pace_(job.pace),
          words_(job.in_words), chance_(job.in_valid), random_(random), input_(total_ * words_), begins_(job.frames) {
        std::ifstream file(job.input_file, std::ios::binary);
        file.read(reinterpret_cast<char*>(input_.data()), input_.size() * 4);
        if (!file) {
            std::cerr << "cannot read " << job.input_file << "\n";
            std::exit(1);
        }
    }
    virtual ~Slave() = default;
    virtual void drive(uint64_t cycle) = 0;
    virtual bool sample(uint64_t cycle) = 0;

    bool finished() const { return sent_ == total_; }
    uint64_t sent() const { return sent_; }
    uint64_t frame() const { return sent_ / frame_beats_; }
    const std::vector<uint64_t>& begins() const { return begins_; }

protected:
    const uint32_t* next() const { return &input_[sent_ * words_]; }
    void count(uint64_t cycle) {
        if (sent_ % frame_beats_ == 0) begins_[sent_ / frame_beats_] = cycle;
        ++sent_;
    }
    // May the next beat come yet, at one frame in `pace_` cycles?
    bool due(uint64_t cycle) const { return sent_ * pace_ <= cycle * frame_beats_; }

    const uint64_t frame_beats_, total_, pace_;
    const int words_;
    const uint32_t chance_;
    Random& random_;
    uint64_t sent_ = 0;

private:
    std::vector<uint32_t> input_;
    std::vector<uint64_t> begins_;
};

template <typename Data>
class SlaveOf final : public Slave {
public:
    SlaveOf(const Job& job, Random& random, Data& data, CData& valid, CData& ready)
        : Slave(job, random), data_(data), valid_(valid), ready_(ready) {
        valid_ = 0;
    }

    // After a clock edge. An offered beat stays until it is taken, as AXI-Stream asks.
    void drive(uint64_t cycle) override {
        if (taken_) valid_ = 0;
        if (!valid_ && sent_ < total_ && due(cycle) && random_.below(chance_)) {
            put(data_, next(), words_);
            valid_ = 1;
        }
    }

    bool sample(uint64_t cycle) override {
        taken_ = valid_ && ready_;
        if (taken_) count(cycle);
        return taken_;
    }

private:
    Data& data_;
    CData &valid_, &ready_;
    bool taken_ = false;
};

// The side of a channel that receives from the model.
class Master {
public:
    Master(const Job& job, Random& random)
        : frame_beats_(job.out_beats), total_(job.frames * job.out_beats), words_(job.out_words),
          chance_(job.out_ready), random_(random), output_(total_ * words_), ends_(job.frames) {}
    virtual ~Master() = default;
    virtual void drive() = 0;
    virtual bool sample(uint64_t cycle) = 0;
    // Between them the model settles without this side's ready.
    virtual void mute() = 0;
    virtual void unmute() = 0;

    const char* broken() const { return broken_; }
    bool finished() const { return received_ == total_; }
    uint64_t received() const { return received_; }
    uint64_t frame() const { return received_ / frame_beats_; }
    const std::vector<uint64_t>& ends() const { return ends_; }
    void write(const std::string& name) const {
        std::ofstream file(name, std::ios::binary);
        file.write(reinterpret_cast<const char*>(output_.data()), received_ * words_ * 4);
    }

protected:
    uint32_t* next() { return &output_[received_ * words_]; }
    void count(uint64_t cycle) {
        if (++received_ % frame_beats_ == 0) ends_[received_ / frame_beats_ - 1] = cycle;
    }

    const uint64_t frame_beats_, total_;
    const int words_;
    const uint32_t chance_;
    Random& random_;
    uint64_t received_ = 0;
    const char* broken_ = nullptr;

private:
    std::vector<uint32_t> output_;
    std::vector<uint64_t> ends_;
};

template <typename Data>
class MasterOf final : public Master {
public:
    MasterOf(const Job& job, Random& random, Data& data, CData& valid, CData& ready)
        : Master(job, random), data_(data), valid_(valid), ready_(ready), now_(job.out_words),
          offered_(job.out_words) {
        ready_ = 0;
    }

    void drive() override { ready_ = !finished() && random_.below(chance_); }

    void mute() override {
        wanted_ = ready_;
        ready_ = 0;
    }
    void unmute() override {
        ready_ = wanted_;
        unasked_ = valid_;
    }

    bool sample(uint64_t cycle) override {
#ifdef STRICT
        if (valid_ != unasked_) broken_ = "a beat is offered for a ready";
#endif
        if (waiting_ && !valid_) broken_ = "an offered beat was withdrawn";
        if (!valid_) return waiting_ = false;
        get(data_, now_.data(), words_);
        if (waiting_ && now_ != offered_) broken_ = "an offered beat changed";
        waiting_ = !ready_;
        if (waiting_) {
            offered_ = now_;
            return false;
        }
        std::copy(now_.begin(), now_.end(), next());
        count(cycle);
        return true;
    }

private:
    Data& data_;
    CData &valid_, &ready_;
    CData wanted_ = 0, unasked_ = 0;
    bool waiting_ = false;
    std::vector<uint32_t> now_, offered_;
};

struct Channel {
    Job job;
    Random random;
    std::unique_ptr<Slave> slave;
    std::unique_ptr<Master> master;
    uint64_t last_transfer = 0;

    // What comes out counts, where something does: a kernel may leave input over.
    bool finished() const { return master ? master->finished() : slave->finished(); }
    uint64_t frame() const { return master ? master->frame() : slave->frame(); }

    void drive(uint64_t cycle) {
        if (slave) slave->drive(cycle);
        if (master) master->drive();
    }
    void sample(uint64_t cycle) {
        if (slave && slave->sample(cycle)) last_transfer = cycle;
        if (master && master->sample(cycle)) last_transfer = cycle;
    }
};

template <typename Data>
void add_slave(Channel& channel, Data& data, CData& valid, CData& ready) {
    channel.slave =
        std::make_unique<SlaveOf<Data>>(channel.job, channel.random, data, valid, ready);
}
template <typename Data>
void add_master(Channel& channel, Data& data, CData& valid, CData& ready) {
    channel.master =
        std::make_unique<MasterOf<Data>>(channel.job, channel.random, data, valid, ready);
}

uint32_t threshold(double probability) {
    return probability >= 1.0 ? UINT32_MAX : uint32_t(probability * 4294967295.0);
}

std::vector<Job> read_jobs(const char* path) {
    std::ifstream file(path);
    std::vector<Job> jobs;
    Job job;
    double in_valid, out_ready;
    while (file >> job.frames >> job.in_beats >> job.out_beats >> job.in_words >> job.out_words >>
           in_valid >> out_ready >> job.pace >> job.input_file >> job.output_file) {
        job.in_valid = threshold(in_valid);
        job.out_ready = threshold(out_ready);
        jobs.push_back(job);
    }
    return jobs;
}

void print_list(const std::vector<uint64_t>& values) {
    std::cout << "[";
    for (std::size_t i = 0; i < values.size(); ++i) std::cout << (i ? "," : "") << values[i];
    std::cout << "]";
}

}  // namespace

int main(int argc, char** argv) {
#ifdef PROBE_LIMIT
    if (argc != 4 + PROBES) return 1;
#else
    if (argc != 4) return 1;
#endif
    const std::vector<Job> jobs = read_jobs(argv[1]);
    const uint64_t patience = std::strtoull(argv[2], nullptr, 10);
    const uint64_t seed = std::strtoull(argv[3], nullptr, 10);

    const auto context = std::make_unique<VerilatedContext>();
    // Registers without a reset start at random, as they may in hardware.
    context->randReset(2);
    context->randSeed(int(seed % 2147483647 + 1));
    const auto model = std::make_unique<MODEL>(context.get());

    // Not moved any more once the sides refer to their random numbers.
    std::vector<Channel> channels(CHANNELS);
    for (std::size_t i = 0; i < CHANNELS; ++i) {
        channels[i].job = jobs.at(i);
        channels[i].random.state = (seed + 1) * 0x9E3779B97F4A7C15ULL + i;
    }
#define SLAVE(i, data, valid, ready) \
    add_slave(channels[i], model->data, model->valid, model->ready);
#define MASTER(i, data, valid, ready) \
    add_master(channels[i], model->data, model->valid, model->ready);
    SLAVES(SLAVE)
    MASTERS(MASTER)
#undef SLAVE
#undef MASTER

    const auto edge = [&] {
        model->clk = 1;
        model->eval();
        model->clk = 0;
    };
    model->clk = 0;
#ifdef PROBE_LIMIT
    std::vector<uint32_t> limits;
    for (int i = 4; i < argc; ++i) limits.push_back(uint32_t(std::strtoul(argv[i], nullptr, 10)));
    put(model->PROBE_LIMIT, limits.data(), PROBES);
#endif
    model->rst = 1;
    for (int i = 0; i < 8; ++i) {
        model->eval();
        edge();
    }
    model->rst = 0;

    uint64_t cycle = 0;
    int stuck = -1;
    for (bool running = true; running && stuck < 0; ++cycle) {
        for (Channel& channel : channels) channel.drive(cycle);
#ifdef STRICT
        for (Channel& channel : channels) if (channel.master) channel.master->mute();
        model->eval();
        for (Channel& channel : channels) if (channel.master) channel.master->unmute();
#endif
        model->eval();
        running = false;
        for (std::size_t i = 0; i < CHANNELS; ++i) {
            Channel& channel = channels[i];
            const bool waited = !channel.finished();
            channel.sample(cycle);
            if (!channel.finished()) running = true;
            if (waited && cycle > channel.last_transfer + patience) stuck = int(i);
            if (channel.master && channel.master->broken()) {
                std::cerr << "channel " << i << ", cycle " << cycle << ": "
                          << channel.master->broken() << "\n";
                return 4;
            }
        }
        edge();
    }
    model->final();

    std::cout << "{\"cycles\":" << cycle << ",\"stuck\":" << stuck << ",\"channels\":[";
    for (std::size_t i = 0; i < CHANNELS; ++i) {
        const Channel& channel = channels[i];
        const Slave* slave = channel.slave.get();
        const Master* master = channel.master.get();
        if (master) master->write(channel.job.output_file);
        std::cout << (i ? ",{" : "{") << "\"frame\":" << channel.frame()
                  << ",\"sent\":" << (slave ? slave->sent() : 0)
                  << ",\"received\":" << (master ? master->received() : 0) << ",\"first_in\":";
        print_list(slave ? slave->begins() : std::vector<uint64_t>{});
        std::cout << ",\"last_out\":";
        print_list(master ? master->ends() : std::vector<uint64_t>{});
        std::cout << "}";
    }
    std::cout << "]";
#ifdef PROBES
    std::vector<uint32_t> counts(PROBES < 2 ? 2 : PROBES), maxima(PROBES < 2 ? 2 : PROBES);
    get(model->PROBE_COUNT, counts.data(), PROBES);
    get(model->PROBE_MAX, maxima.data(), PROBES);
    counts.resize(PROBES);
    maxima.resize(PROBES);
    std::cout << ",\"fifo_count\":";
    print_list({counts.begin(), counts.end()});
    std::cout << ",\"fifo_max\":";
    print_list({maxima.begin(), maxima.end()});
#endif
    std::cout << "}\n";
    return stuck < 0 ? 0 : 3;
}
