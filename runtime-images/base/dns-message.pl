# DNS messages as names.pl reads and writes them (RFC 1035 section 4): one question, and an answer that repeats it.
my $CUT = 0x0200;

# Nothing where it is no query that one answers.
sub read_query {
    my ($message) = @_;
    return if length $message < 17;
    my ($id, $flags, $questions) = unpack "n3", $message;
    return if $flags & 0x8000 or $questions != 1;
    my ($at, @labels) = (12);
    while (my $length = unpack "x${at}C", $message) {
        return if $length > 63 or $at + $length + 5 >= length $message;
        push @labels, substr $message, $at + 1, $length;
        $at += $length + 1;
    }
    my ($type, $class) = unpack "n2", substr $message, $at + 1, 4;
    my $question = substr $message, 12, $at + 5 - 12;
    return { id => $id, flags => $flags, name => lc join(".", @labels), type => $type, class => $class, question => $question };
}

# With as many records of `@data` as `$room` bytes hold; whoever asked is told when those are not all.
sub write_answer {
    my ($query, $code, $ttl, $room, @data) = @_;
    my ($body, $count, $cut) = ($query->{question}, 0, 0);
    for (@data) {
        my $record = pack "n3Nn/a*", 0xC00C, $query->{type}, $query->{class}, $ttl, $_;
        $cut = $CUT, last if 12 + length($body) + length $record > $room;
        $body .= $record;
        $count++;
    }
    return pack("n6", $query->{id}, 0x8080 | ($query->{flags} & 0x7900) | $cut | $code, 1, $count, 0, 0) . $body;
}
1;
