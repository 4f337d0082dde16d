import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** TODO markers show the gaps. TASK.txt says what the program must do. Run it with: java Main.java */
public class Main {
    static final Map<String, String> ENV = System.getenv();

    static Producer<String, String> producer() {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", ENV.get("LAB_BOOTSTRAP"));
        // Java's producer is idempotent and partitions with murmur2 by default.
        return new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
    }

    public static void main(String[] arguments) {
        List<Exception> failures = Collections.synchronizedList(new ArrayList<>());
        try (Producer<String, String> producer = producer()) {
            for (int i = 0; i <= 20; i++) {
                // TODO: send "value" + i and "filter" + i with the key "key" + i. In the callback note the exception,
                // or print the task's line.
            }
            // TODO: wait until every record is delivered.
        }
        System.exit(failures.isEmpty() ? 0 : 1);
    }
}
