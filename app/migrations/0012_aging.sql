-- How long a waiting ticket of each priority may be overtaken by newer, more urgent ones: nobody starves.
CREATE FUNCTION waits_as_since(made timestamptz, priority ticket_priority) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT made + CASE priority WHEN 'urgent' THEN interval '0' WHEN 'high' THEN interval '4 hours'
                                WHEN 'low' THEN interval '24 hours' ELSE interval '8 hours' END
$$;
