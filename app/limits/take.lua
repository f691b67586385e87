-- Takes `cost` tokens from every bucket, or from none of them: a request that one refuses costs nothing.
-- KEYS: the buckets. ARGV, three for each: tokens a second, the most it holds, the cost.
-- Answers 1 or 0, then what each bucket held before. The clock is Redis's own: replicas' clocks do not matter.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
local levels, enough = {}, 1
for i, key in ipairs(KEYS) do
    local rate, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    local kept, level = redis.call('GET', key), burst
    if kept then
        local held, at = string.match(kept, '^(%S+) (%S+)$')
        level = math.min(burst, tonumber(held) + math.max(0, now - tonumber(at)) * rate)
    end
    levels[i] = level
    if level < cost then
        enough = 0
    end
end
local answer = {enough}
for i, key in ipairs(KEYS) do
    local rate, burst, cost = tonumber(ARGV[3 * i - 2]), tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i])
    if enough == 1 then
        local left = math.min(burst, levels[i] - cost)
        local full_in_ms = math.ceil((burst - left) / rate * 1000) + 1000
        redis.call('SET', key, string.format('%.6f %.6f', left, now), 'PX', full_in_ms)
    end
    answer[i + 1] = string.format('%.6f', levels[i])
end
return answer
