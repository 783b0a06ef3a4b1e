// Runs one model in ONNX Runtime's Java package. Feeds are read and outputs are written as lines of JSON, as in web.mjs.
//
//   java -cp JAR Host.java MODEL        JAR is the file that jar.sh prints
import ai.onnxruntime.*;
import java.io.*;
import java.nio.*;
import java.util.*;
import java.util.concurrent.Callable;
import java.util.regex.*;
import java.util.stream.*;

class Host {
  static final Map<String, OnnxJavaType> TYPES = Map.of("float32", OnnxJavaType.FLOAT, "float16", OnnxJavaType.FLOAT16,
      "int64", OnnxJavaType.INT64, "int32", OnnxJavaType.INT32, "bool", OnnxJavaType.BOOL);
  static final Map<OnnxJavaType, String> NAMES = TYPES.entrySet().stream().collect(Collectors.toMap(Map.Entry::getValue, Map.Entry::getKey));
  // One feed, as Python's json writes it: Java has no parser of JSON, and these texts need no escapes.
  static final Pattern FEED =
      Pattern.compile("\\G[{,] ?\"([^\"\\\\]+)\": \\{\"type\": \"(\\w+)\", \"shape\": \\[([\\d, ]*)\\], \"data\": \"([^\"\\\\]*+)\"\\}");

  public static void main(String[] args) throws IOException {
    var session = new OrtSession[1];
    var environment = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR, "host");
    answer(() -> {
      session[0] = environment.createSession(args[0]);
      return "{}";
    });
    var lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      String request = line;
      answer(() -> run(environment, session[0], request));
    }
  }

  static void answer(Callable<String> work) {
    try {
      System.out.println(work.call());
    } catch (Exception e) {
      System.out.println("{\"error\": \"" + e.toString().replaceAll("[\\p{Cntrl}\"\\\\]", " ") + "\"}");
    }
  }

  static String run(OrtEnvironment environment, OrtSession session, String request) throws OrtException {
    var feeds = new HashMap<String, OnnxTensor>();
    int end = 0;
    for (var m = FEED.matcher(request); m.find(); end = m.end()) {
      var type = Objects.requireNonNull(TYPES.get(m.group(2)), "want a type of " + TYPES.keySet() + ", got " + m.group(2));
      long[] shape = Stream.of(m.group(3).split(", ")).filter(d -> !d.isEmpty()).mapToLong(Long::parseLong).toArray();
      byte[] bytes = Base64.getDecoder().decode(m.group(4));
      var data = ByteBuffer.allocateDirect(bytes.length).order(ByteOrder.nativeOrder()).put(bytes).flip(); // a buffer of another kind must have the type of its numbers
      feeds.put(m.group(1), OnnxTensor.createTensor(environment, data, shape, type));
    }
    if (end != request.length() - 1) {
      throw new IllegalArgumentException("want feeds in the form that hosts.py writes, got " + request.substring(end, Math.min(end + 80, request.length())));
    }
    try (var outputs = session.run(feeds)) {
      var out = new StringJoiner(", ", "{\"outputs\": {", "}}");
      for (var output : outputs) {
        var tensor = (OnnxTensor) output.getValue();
        var type = NAMES.get(tensor.getInfo().type);
        var data = Base64.getEncoder().encodeToString(tensor.getByteBuffer().array());
        out.add("\"%s\": {\"type\": \"%s\", \"shape\": %s, \"data\": \"%s\"}".formatted(output.getKey(), type, Arrays.toString(tensor.getInfo().getShape()), data));
      }
      return out.toString();
    } finally {
      feeds.values().forEach(OnnxTensor::close);
    }
  }
}
