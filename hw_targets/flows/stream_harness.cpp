// Drives every channel (one AXI-Stream slave and one master) of a Verilator model with random
// stalls, records what comes out and when, and prints statistics as JSON.
//
// `ports.h`, generated with the model, defines MODEL_HEADER, MODEL, CHANNELS(X), one
// X(index, s_tdata, s_tvalid, s_tready, m_tdata, m_tvalid, m_tready) a channel, and, for a top
// with probes, PROBES (their number), PROBE_COUNT and PROBE_MAX (ports of 32 bits a FIFO). With
// PROBE_LIMIT, an input of the same shape, the depth of every FIFO is given when the program runs.
//
// Usage: sim JOB PATIENCE SEED [DEPTH ...]. JOB has a line for each channel:
//   frames in_beats out_beats in_words out_words in_valid out_ready input_file output_file
// Beats are rows of 32-bit words, the low one first. Status 0: all frames done; 3: a channel made
// no transfer for PATIENCE cycles.
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
    uint64_t frames, in_beats, out_beats;
    int in_words, out_words;
    uint32_t in_valid, out_ready;
    std::string input_file, output_file;
};

class ChannelBase {
public:
    ChannelBase(const Job& job, uint64_t seed) : job_(job), random_{seed} {
        std::ifstream file(job.input_file, std::ios::binary);
        input_.resize(job.frames * job.in_beats * job.in_words);
        file.read(reinterpret_cast<char*>(input_.data()), input_.size() * 4);
        if (!file) {
            std::cerr << "cannot read " << job.input_file << "\n";
            std::exit(1);
        }
        output_.resize(job.frames * job.out_beats * job.out_words);
        first_in_.resize(job.frames);
        last_out_.resize(job.frames);
    }
    virtual ~ChannelBase() = default;
    virtual void drive() = 0;
    virtual void sample(uint64_t cycle) = 0;

    bool finished() const { return received_ == job_.frames * job_.out_beats; }
    uint64_t idle_since() const { return last_transfer_; }
    uint64_t frame() const { return received_ / job_.out_beats; }
    uint64_t sent() const { return sent_; }
    uint64_t received() const { return received_; }
    const std::vector<uint64_t>& first_in() const { return first_in_; }
    const std::vector<uint64_t>& last_out() const { return last_out_; }
    void write() const {
        std::ofstream file(job_.output_file, std::ios::binary);
        file.write(reinterpret_cast<const char*>(output_.data()),
                   received_ * job_.out_words * 4);
    }

protected:
    Job job_;
    Random random_;
    std::vector<uint32_t> input_, output_;
    std::vector<uint64_t> first_in_, last_out_;
    uint64_t sent_ = 0, received_ = 0, last_transfer_ = 0;
    uint64_t in_left_ = 0, out_left_ = 0, in_frame_ = 0, out_frame_ = 0;
};

template <typename SData, typename MData>
class Channel final : public ChannelBase {
public:
    Channel(const Job& job, uint64_t seed, SData& s_data, CData& s_valid, CData& s_ready,
            MData& m_data, CData& m_valid, CData& m_ready)
        : ChannelBase(job, seed), s_data_(s_data), m_data_(m_data), s_valid_(s_valid),
          s_ready_(s_ready), m_valid_(m_valid), m_ready_(m_ready) {
        s_valid_ = 0;
        m_ready_ = 0;
        total_ = job.frames * job.in_beats;
    }

    // After a clock edge. An offered beat stays until it is taken, as AXI-Stream asks.
    void drive() override {
        if (taken_) s_valid_ = 0;
        if (!s_valid_ && sent_ < total_ && random_.below(job_.in_valid)) {
            put(s_data_, &input_[sent_ * job_.in_words], job_.in_words);
            s_valid_ = 1;
        }
        m_ready_ = !finished() && random_.below(job_.out_ready);
    }

    void sample(uint64_t cycle) override {
        taken_ = false;
        if (s_valid_ && s_ready_) {
            if (in_left_ == 0) {
                in_left_ = job_.in_beats;
                first_in_[in_frame_++] = cycle;
            }
            --in_left_;
            ++sent_;
            last_transfer_ = cycle;
            taken_ = true;
        }
        if (m_valid_ && m_ready_) {
            get(m_data_, &output_[received_ * job_.out_words], job_.out_words);
            ++received_;
            last_transfer_ = cycle;
            if (++out_left_ == job_.out_beats) {
                out_left_ = 0;
                last_out_[out_frame_++] = cycle;
            }
        }
    }

private:
    SData& s_data_;
    MData& m_data_;
    CData &s_valid_, &s_ready_, &m_valid_, &m_ready_;
    uint64_t total_ = 0;
    bool taken_ = false;
};

template <typename SData, typename MData>
std::unique_ptr<ChannelBase> make_channel(const Job& job, uint64_t seed, SData& s_data,
                                          CData& s_valid, CData& s_ready, MData& m_data,
                                          CData& m_valid, CData& m_ready) {
    return std::make_unique<Channel<SData, MData>>(job, seed, s_data, s_valid, s_ready, m_data,
                                                   m_valid, m_ready);
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
           in_valid >> out_ready >> job.input_file >> job.output_file) {
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

    std::vector<std::unique_ptr<ChannelBase>> channels;
#define MAKE(index, sd, sv, sr, md, mv, mr)                                                     \
    channels.push_back(make_channel(jobs.at(index), (seed + 1) * 0x9E3779B97F4A7C15ULL + index, \
                                    model->sd, model->sv, model->sr, model->md, model->mv,      \
                                    model->mr));
    CHANNELS(MAKE)
#undef MAKE

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
        for (auto& channel : channels) channel->drive();
        model->eval();
        running = false;
        for (std::size_t i = 0; i < channels.size(); ++i) {
            ChannelBase& channel = *channels[i];
            if (channel.finished()) continue;
            channel.sample(cycle);
            if (!channel.finished()) running = true;
            if (cycle > channel.idle_since() + patience) stuck = int(i);
        }
        edge();
    }
    model->final();

    std::cout << "{\"cycles\":" << cycle << ",\"stuck\":" << stuck << ",\"channels\":[";
    for (std::size_t i = 0; i < channels.size(); ++i) {
        const ChannelBase& channel = *channels[i];
        channel.write();
        std::cout << (i ? ",{" : "{") << "\"frame\":" << channel.frame()
                  << ",\"sent\":" << channel.sent() << ",\"received\":" << channel.received()
                  << ",\"first_in\":";
        print_list(channel.first_in());
        std::cout << ",\"last_out\":";
        print_list(channel.last_out());
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
